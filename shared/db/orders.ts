import { createHash, randomUUID } from 'node:crypto'
import { and, desc, eq, max } from 'drizzle-orm'
import type { MySqlInsertValue } from 'drizzle-orm/mysql-core'
import { jobId, keyDigest, sequencerAfter } from '../contract/key.ts'
import type { ImageUploaded } from '../contract/queue-message.ts'
import { isFinal, type JobState } from '../contract/result.ts'
import { RetryableFailure } from '../failure.ts'
import type { Database } from './client.ts'
import { DatabaseRefusal } from './database-error.ts'
import { cancelJob } from './job-end.ts'
import { firstJob, unbegun } from './jobs.ts'
import { createResults, type FoundJob, type Wanted } from './results.ts'
import { jobs } from './schema.ts'

/** A take as someone wishes it; what is left out is as in the first. */
export interface Wish {
  key: string
  /** The newest when absent. */
  version?: string | undefined
  prompt?: string | undefined
  seed?: number | undefined
  seconds?: number | undefined
}

/** Who orders, and by which key of theirs the same order is known again; without one each order is another. */
interface Orderer {
  caller: string
  idempotencyKey?: string | undefined
}

/** `placed`: now, or by the same order before. `reused`: the key stands for another order. */
type Ordered =
  | { outcome: 'placed'; found: FoundJob }
  | { outcome: 'reused' }
  | { outcome: 'unknown' }
  | { outcome: 'unanalysed'; state: JobState }

export type Orders = ReturnType<typeof createOrders>

/** Orders on one picture at the same moment, each of which can take the number that another was about to. */
const maxTries = 50

/** What callers may have done with the jobs of a bucket. Throws what `Database.run` throws. */
export function createOrders({ database, bucket }: { database: Database; bucket: string }) {
  const results = createResults({ database, bucket })

  /**
   * Queues a take on a picture whose first take has succeeded. The message for it is the caller's to send, again too for an
   * order placed before, as long as its job is queued.
   */
  async function order(wish: Wish, { caller, idempotencyKey = randomUUID() }: Orderer): Promise<Ordered> {
    const { key, version, prompt, seed, seconds } = wish
    const orderKey = digestOf([bucket, caller, idempotencyKey])
    const orderDigest = digestOf([key, version, prompt, seed, seconds])
    for (let tries = 1; tries <= maxTries; tries++) {
      const placed = await findOrder(orderKey)
      if (placed) {
        if (placed.orderDigest !== orderDigest) return { outcome: 'reused' }
        const found = await results.find({ ...placed, key })
        if (found) return { outcome: 'placed', found }
      }
      const first = await results.find({ key, version })
      if (!first) return { outcome: 'unknown' }
      if (first.job.state !== 'succeeded' || !first.analysis) return { outcome: 'unanalysed', state: first.job.state }
      await place(first.job, {
        orderKey,
        orderDigest,
        orderedPrompt: prompt ?? first.analysis.prompt,
        orderedSeed: seed,
        orderedSeconds: seconds ?? first.analysis.durationSeconds,
      })
    }
    throw new RetryableFailure('DATABASE_UNAVAILABLE', `Found no free number for a take in ${maxTries} tries`)
  }

  async function findOrder(orderKey: string) {
    const { version, take, orderDigest } = jobs
    const select = { version, take, orderDigest }
    const [row] = await database.run((db) => db.select(select).from(jobs).where(eq(jobs.orderKey, orderKey)))
    return row
  }

  /** Takes the next number, unless another order has just taken it, or this one has its number already. */
  async function place(
    { imageKey, keyDigest, version, versionId, etag, sizeBytes, sequencer, uploadedAt }: FoundJob['job'],
    order: Pick<FoundJob['job'], 'orderKey' | 'orderDigest' | 'orderedPrompt' | 'orderedSeconds'> & {
      orderedSeed: number | undefined
    },
  ): Promise<void> {
    const image = { bucket, imageKey, keyDigest, version, versionId, etag, sizeBytes, sequencer, uploadedAt }
    const ofVersion = and(eq(jobs.keyDigest, keyDigest), eq(jobs.version, version))
    const [last] = await database.run((db) =>
      db.select({ take: jobs.take }).from(jobs).where(ofVersion).orderBy(desc(jobs.take)).limit(1),
    )
    const take = (last?.take ?? 0) + 1
    const id = jobId({ bucket, key: imageKey, version }, take)
    const orderedSeed = order.orderedSeed ?? Number.parseInt(id.slice(0, 8), 16)
    const job = { ...image, ...unbegun, ...order, id, take, orderedSeed }
    await insert(job)
  }

  /** One that is there already stays as it is. */
  async function insert(job: MySqlInsertValue<typeof jobs>): Promise<void> {
    await database
      .run((db) => db.insert(jobs).values(job))
      .catch((error: unknown) => {
        if (!(error instanceof DatabaseRefusal && error.isDuplicate)) throw error
      })
  }

  /** Ends a job that has not ended. Resolves to the job as it is then, however it has ended; undefined when there is none. */
  async function cancel(wanted: Wanted): Promise<FoundJob | undefined> {
    const found = await results.find(wanted)
    if (!found || isFinal(found.job.state)) return found
    const { id, version, take } = found.job
    await database.run((db) => db.transaction((transaction) => cancelJob(transaction, id)))
    return results.find({ key: wanted.key, version, take })
  }

  return {
    order,
    cancel,

    /** As `cancel`, for an upload whose event has not come: when it does, it finds its job settled. */
    async cancelUpload(upload: Omit<ImageUploaded, 'bucket' | 'sequencer'>): Promise<FoundJob | undefined> {
      const { key, version, eventTime } = upload
      // The first takes have the greatest.
      const ofKey = and(eq(jobs.keyDigest, keyDigest(bucket, key)), eq(jobs.take, 0))
      const latest = { latest: max(jobs.sequencer) }
      const [row] = await database.run((db) => db.select(latest).from(jobs).where(ofKey))
      const sequencer = sequencerAfter(row?.latest ?? '', new Date(eventTime))
      await insert(firstJob({ ...upload, bucket, sequencer }))
      return cancel({ key, version })
    },
  }
}

function digestOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}
