import { pino } from 'pino'
import type { AppOptions } from '../services/api/app.ts'
import { noResults } from './found-job.ts'
import { bucket } from './job.ts'
import { testPresigner } from './presigner.ts'

/** An API of which a test names the parts that matter to it; behind the others there is nothing. */
export function apiOptions(more: Partial<AppOptions> = {}): AppOptions {
  return {
    results: noResults,
    orders: {
      order: async () => ({ outcome: 'unknown' }),
      cancel: async () => undefined,
      cancelUpload: async () => undefined,
    },
    queue: { send: async () => {} },
    objects: { head: async () => undefined, ping: async () => {} },
    presigner: testPresigner(more.bucket ?? bucket, more.endpoint),
    database: { ping: async () => {} },
    bucket,
    region: 'us-east-1',
    maxImageBytes: 1000,
    auth: 'none',
    logger: pino({ level: 'silent' }),
    ...more,
  }
}
