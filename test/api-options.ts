import { pino } from 'pino'
import type { AppOptions } from '../services/api/app.ts'
import { noResults } from './found-job.ts'
import { bucket } from './job.ts'
import { testPresigner } from './presigner.ts'

/** Nothing to be done, and nobody to do it. */
const noOperations: AppOptions['operations'] = {
  read: async () => ({
    at: new Date(0).toISOString(),
    jobs: { queued: 0, processing: 0 },
    consumers: [],
    failures: { since: new Date(0).toISOString(), by_code: [] },
    recent: [],
  }),
}

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
    operations: noOperations,
    bucket,
    region: 'us-east-1',
    maxImageBytes: 1000,
    auth: 'none',
    // The machine of the tests is not theirs alone.
    maxEventLoopDelayMs: 0,
    logger: pino({ level: 'silent' }),
    ...more,
  }
}
