import { jobId, keyDigest, normalizeSequencer } from '#shared/contract/key.ts'
import type { FoundJob, Results } from '#shared/db/results.ts'
import type { AppOptions } from '../services/api/app.ts'
import { analysisOf, bucket, uploadOf } from './job.ts'

/** A database that has none. */
export const noResults: Pick<Results, 'find' | 'list' | 'models'> = {
  find: async () => undefined,
  list: async () => ({ found: [], next: undefined }),
  models: async () => undefined,
}

/** What the API has for takes and cancellations, of a database that has no jobs. */
export const noOrders: Pick<AppOptions, 'orders' | 'queue'> = {
  orders: {
    order: async () => ({ outcome: 'unknown' }),
    cancel: async () => undefined,
    cancelUpload: async () => undefined,
  },
  queue: { send: async () => {} },
}

/** One that has succeeded. */
export function succeededJob(key: string, job: Partial<FoundJob['job']> = {}): FoundJob {
  const found = foundJob(key, { state: 'succeeded', progress: 1, finishedAt: new Date('2026-01-02T03:04:09Z'), ...job })
  const { embedding, ...analysis } = analysisOf(uploadOf(key))
  return { ...found, analysis: { ...analysis, id: 1, jobId: found.job.id, createdAt: new Date(0) } }
}

/** A job of the bucket of tests, as the database would give it. */
export function foundJob(key: string, job: Partial<FoundJob['job']> = {}): FoundJob {
  const { version, etag, size, sequencer } = uploadOf(key)
  return {
    job: {
      id: jobId({ bucket, key, version: job.version ?? version }, job.take),
      bucket,
      imageKey: key,
      keyDigest: keyDigest(bucket, key),
      version,
      versionId: null,
      etag,
      take: 0,
      orderedPrompt: null,
      orderedSeed: null,
      orderedSeconds: null,
      orderKey: null,
      orderDigest: null,
      sizeBytes: size,
      sequencer: normalizeSequencer(sequencer),
      state: 'queued',
      stage: null,
      progress: 0,
      etaSeconds: null,
      attempt: 1,
      leaseToken: null,
      leaseExpiresAt: null,
      errorCode: null,
      errorMessage: null,
      errorRetryable: null,
      uploadedAt: new Date('2026-01-02T03:04:05Z'),
      createdAt: new Date('2026-01-02T03:04:06Z'),
      startedAt: new Date('2026-01-02T03:04:07Z'),
      finishedAt: null,
      updatedAt: new Date('2026-01-02T03:04:08Z'),
      ...job,
    },
    analysis: null,
  }
}
