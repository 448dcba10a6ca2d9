import { jobId, keyDigest, normalizeSequencer } from '#shared/contract/key.ts'
import type { FoundJob, Results, Wanted } from '#shared/db/results.ts'
import { analysisOf, bucket, uploadOf } from './job.ts'

type Find = (wanted: Wanted) => Promise<FoundJob | undefined>

/** Results that are found one by one. */
export function resultsOf(find: Find): Pick<Results, 'standings' | 'findAll' | 'list' | 'models'> {
  const found = new Map<string, FoundJob>()
  return {
    standings: async (subjects) => {
      const all = await Promise.all(subjects.map(({ key, version, take }) => find({ key, version, take })))
      return all.flatMap((each) => {
        if (!each) return []
        found.set(each.job.id, each)
        return { ...each.job, ageSeconds: 0 }
      })
    },
    findAll: async (ids) => ids.flatMap((id) => found.get(id) ?? []),
    list: async () => ({ found: [], next: undefined }),
    models: async () => undefined,
  }
}

/** A database in memory, and how often it was asked. */
export function fakeResults(clock: () => number = Date.now) {
  const jobs = new Map<string, FoundJob>()
  const fake = {
    /** Thrown by every call while it is set. */
    failure: undefined as Error | undefined,
    standingsAsked: 0,
    rowsAsked: 0,
    set: (found: FoundJob) => void jobs.set(found.job.id, found),
    standings: (async (subjects) => {
      fake.standingsAsked++
      if (fake.failure) throw fake.failure
      return subjects.flatMap(({ jobId: id, keyDigest: digest, take }) => {
        const all = [...jobs.values()].filter(({ job }) =>
          id ? job.id === id : job.keyDigest === digest && job.take === take,
        )
        const found = newest(all)
        return found ? { ...found.job, ageSeconds: (clock() - found.job.updatedAt.getTime()) / 1000 } : []
      })
    }) as Results['standings'],
    findAll: (async (ids) => {
      fake.rowsAsked++
      if (fake.failure) throw fake.failure
      return ids.flatMap((id) => jobs.get(id) ?? [])
    }) as Results['findAll'],
    list: async () => ({ found: [], next: undefined }),
    models: async () => undefined,
  }
  return fake
}

function newest(found: FoundJob[]): FoundJob | undefined {
  return found.toSorted((a, b) => (a.job.sequencer < b.job.sequencer ? 1 : -1))[0]
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

/** A database that has none. */
export const noResults = resultsOf(async () => undefined)
