import { and, eq, gt, lt, lte, or, sql } from 'drizzle-orm'
import { type ImageVersion, jobId, keyDigest, normalizeSequencer } from '../contract/key.ts'
import type { ImageUploaded } from '../contract/queue-message.ts'
import type { JobStage, JobState } from '../contract/result.ts'
import { PermanentFailure } from '../failure.ts'
import type { Database, Drizzle } from './client.ts'
import { DatabaseRefusal } from './database-error.ts'
import { errorColumns, isHeld, type JobError, type Lease, leave, now } from './job-end.ts'
import { artAnalysis, artLabels, jobs } from './schema.ts'

export type Claim =
  | { outcome: 'claimed'; attempt: number }
  | { outcome: 'settled'; state: JobState }
  | { outcome: 'held'; leaseSeconds: number }
  | { outcome: 'unknown' }

/** What a finished take adds to the record; the rest of the row is the database's. */
export type Analysis = Omit<typeof artAnalysis.$inferInsert, 'id' | 'jobId' | 'createdAt'>

/** What has been found in a picture, and by which model. */
export type Findings = Pick<Analysis, keyof typeof findings>

export type Jobs = ReturnType<typeof createJobs>

const findings = {
  genre: artAnalysis.genre,
  genreScore: artAnalysis.genreScore,
  style1: artAnalysis.style1,
  style2: artAnalysis.style2,
  style3: artAnalysis.style3,
  style4: artAnalysis.style4,
  style5: artAnalysis.style5,
  score1: artAnalysis.score1,
  score2: artAnalysis.score2,
  score3: artAnalysis.score3,
  score4: artAnalysis.score4,
  score5: artAnalysis.score5,
  embedding: artAnalysis.embedding,
  classifierModel: artAnalysis.classifierModel,
  classifierModelRevision: artAnalysis.classifierModelRevision,
}

/** Of `datetime`. */
const latestTime = Date.UTC(10_000, 0)

export const unbegun = { state: 'queued', progress: 0, attempt: 0, createdAt: now, updatedAt: now } as const
const begunAnew = {
  state: 'queued',
  progress: 0,
  attempt: 0,
  errorCode: null,
  errorMessage: null,
  errorRetryable: null,
  startedAt: null,
  finishedAt: null,
  updatedAt: now,
} as const
const fromNow = (seconds: number) => sql<Date>`utc_timestamp(3) + interval ${Math.ceil(seconds * 1e6)} microsecond`
const leaseIsOver = lte(jobs.leaseExpiresAt, now)
const secondsLeft = sql<number | null>`timestampdiff(microsecond, ${now}, ${jobs.leaseExpiresAt}) / 1e6`

/**
 * The jobs in the database. A claim gives a lease, by the database's clock, and every later write names its token: a
 * holder whose lease is over, or has passed to another, changes nothing and is answered false. Each call may be repeated
 * with the same effect as once. Throws what `Database.run` throws.
 */
export function createJobs({ database }: { database: Database }) {
  return {
    /** Resolves when the database answers. */
    ping: () => database.ping(),

    /**
     * Queues the first take on an image version, unless it is known already; returns the job's id. In an unversioned bucket
     * the same bytes put back are the same version, announced with a greater sequencer: a job that has failed begins anew,
     * and one that was canceled does when they were put back after that, by S3's clock. Like `reopen`, a failed one begins
     * anew for the failure that the message names.
     * Throws PermanentFailure MESSAGE_UNREADABLE when the database does not take what the message says.
     */
    async receive(upload: ImageUploaded, failureId?: string): Promise<string> {
      const job = firstJob(upload)
      const { id, sequencer, uploadedAt } = job
      // A holder may have looked for the picture before it was put back: the message comes again when it is done.
      const isHeldNow = and(eq(jobs.state, 'processing'), gt(jobs.leaseExpiresAt, now))
      const newer = sql`greatest(${jobs.sequencer}, ${sequencer})`
      const isPutBack = lt(jobs.sequencer, sequencer)
      const hasFailed = eq(jobs.state, 'failed')
      const isSinceCanceled = and(eq(jobs.state, 'canceled'), uploadedAt ? lt(jobs.finishedAt, uploadedAt) : sql`false`)
      const beginsAnew = or(
        and(hasFailed, or(isPutBack, failureId ? eq(jobs.leaseToken, failureId) : undefined)),
        and(isSinceCanceled, isPutBack),
      )
      // What may begin anew is left to the second statement: its holder may end it before that, and not know of this upload.
      const newest = sql`if(${or(isHeldNow, hasFailed, isSinceCanceled)}, ${jobs.sequencer}, ${newer})`
      try {
        await database.run(async (db) => {
          await db
            .insert(jobs)
            .values(job)
            .onDuplicateKeyUpdate({ set: { sequencer: newest } })
          await db
            .update(jobs)
            .set({ ...begunAnew, sequencer: newer, uploadedAt })
            .where(and(eq(jobs.id, id), beginsAnew))
          // Given back, or begun anew by another, between the two.
          await db
            .update(jobs)
            .set({ sequencer: newer })
            .where(and(eq(jobs.id, id), eq(jobs.state, 'queued')))
        })
      } catch (error) {
        if (!(error instanceof DatabaseRefusal && error.isAboutData)) throw error
        throw new PermanentFailure('MESSAGE_UNREADABLE', error.message, { cause: error })
      }
      return id
    },

    /** A job that failed begins anew for a dead letter sent again, which names the claim that failed, and thus once only. */
    async reopen(id: string, failureId: string): Promise<void> {
      const hasFailedSo = and(eq(jobs.id, id), eq(jobs.state, 'failed'), eq(jobs.leaseToken, failureId))
      await database.run((db) => db.update(jobs).set(begunAnew).where(hasFailedSo))
    },

    /** What a later take is made of: its order, and what the first take found. Undefined when one of them is not there. */
    async ordered({ take, ...image }: ImageVersion & { take: number }) {
      const { orderedPrompt: prompt, orderedSeed: seed, orderedSeconds: seconds } = jobs
      const [row] = await database.run((db) =>
        db
          .select({ prompt, seed, seconds, findings })
          .from(jobs)
          .innerJoin(artAnalysis, eq(artAnalysis.jobId, jobId(image)))
          .where(eq(jobs.id, jobId(image, take))),
      )
      if (!row || row.prompt === null || row.seed === null || row.seconds === null) return undefined
      const found: Findings = row.findings
      return { prompt: row.prompt, seed: row.seed, seconds: row.seconds, findings: found }
    },

    /** Where a job is, and the token of its last claim; undefined when there is no such job. */
    async look(id: string): Promise<{ state: JobState; token: string | null } | undefined> {
      const { state, leaseToken: token } = jobs
      const [row] = await database.run((db) => db.select({ state, token }).from(jobs).where(eq(jobs.id, id)))
      return row
    },

    /**
     * Takes a job that is queued, or whose holder's lease is over. `settled`: nothing is left to do. `held`: another
     * holds it, for so long unless it renews. `unknown`: there is none. The token must be new: it tells a claim repeated
     * after a lost connection from another's.
     */
    async claim(id: string, { token, leaseSeconds }: { token: string; leaseSeconds: number }): Promise<Claim> {
      const isFree = or(eq(jobs.state, 'queued'), and(eq(jobs.state, 'processing'), leaseIsOver))
      const job = await database.run(async (db) => {
        await db
          .update(jobs)
          .set({
            state: 'processing',
            stage: null,
            progress: 0,
            etaSeconds: null,
            attempt: sql`${jobs.attempt} + 1`,
            leaseToken: token,
            leaseExpiresAt: fromNow(leaseSeconds),
            startedAt: now,
            updatedAt: now,
          })
          .where(and(eq(jobs.id, id), isFree))
        const { state, attempt, leaseToken } = jobs
        const [row] = await db.select({ state, attempt, leaseToken, secondsLeft }).from(jobs).where(eq(jobs.id, id))
        return row
      })
      if (!job) return { outcome: 'unknown' }
      if (job.state === 'processing' && job.leaseToken === token) return { outcome: 'claimed', attempt: job.attempt }
      if (job.state === 'processing' || job.state === 'queued') {
        return { outcome: 'held', leaseSeconds: Math.max(0, Number(job.secondsLeft)) }
      }
      return { outcome: 'settled', state: job.state }
    },

    /** The lease ends `leaseSeconds` from now. */
    async renew({ leaseSeconds, ...lease }: Lease & { leaseSeconds: number }): Promise<boolean> {
      return database.run(async (db) => {
        const [{ affectedRows }] = await db
          .update(jobs)
          .set({ leaseExpiresAt: fromNow(leaseSeconds) })
          .where(isHeld(lease))
        return affectedRows > 0
      })
    },

    /** `progress` from 0 to 1 over the whole job. */
    async progress({
      stage,
      progress,
      etaSeconds,
      ...lease
    }: Lease & { stage: JobStage; progress: number; etaSeconds?: number | undefined }): Promise<boolean> {
      return database.run(async (db) => {
        const [{ affectedRows }] = await db
          .update(jobs)
          .set({ stage, progress, etaSeconds: etaSeconds ?? null, updatedAt: now })
          .where(isHeld(lease))
        return affectedRows > 0
      })
    },

    /** Ends the job and records its analysis, both or neither. A job opened again keeps its row, with what is new of it. */
    async succeed({ analysis, ...lease }: Lease & { analysis: Analysis }): Promise<boolean> {
      return database.run((db) =>
        db.transaction(async (transaction) => {
          const ours = await leave(transaction, lease, 'succeeded', {
            progress: 1,
            finishedAt: now,
            errorCode: null,
            errorMessage: null,
            errorRetryable: null,
          })
          if (!ours) return false
          await transaction
            .insert(artAnalysis)
            .values({ ...analysis, jobId: lease.id, createdAt: now })
            .onDuplicateKeyUpdate({ set: { ...analysis, embedding: analysis.embedding ?? null } })
          await writeLabels(transaction, lease.id, analysis)
          return true
        }),
      )
    },

    /** Ends the job for good. */
    async fail({ id, token, ...error }: Lease & JobError): Promise<boolean> {
      return database.run((db) =>
        db.transaction((transaction) =>
          leave(transaction, { id, token }, 'failed', { finishedAt: now, ...errorColumns(error) }),
        ),
      )
    },

    /**
     * Gives the job back to the queue; the error stays with it for the operator. A try that a shutdown cut short is
     * not counted.
     */
    async release({
      error,
      countAttempt = true,
      ...lease
    }: Lease & { error?: JobError | undefined; countAttempt?: boolean }): Promise<boolean> {
      return database.run((db) =>
        leave(db, lease, 'queued', {
          progress: 0,
          ...(!countAttempt && { attempt: sql`${jobs.attempt} - 1` }),
          ...(error && errorColumns(error)),
        }),
      )
    },
  }
}

/** The first take's, that nobody has begun. */
export function firstJob({ bucket, key, version, versionId, etag, size, sequencer, eventTime }: ImageUploaded) {
  return {
    ...unbegun,
    id: jobId({ bucket, key, version }),
    bucket,
    imageKey: key,
    keyDigest: keyDigest(bucket, key),
    version,
    versionId: versionId ?? null,
    etag,
    take: 0,
    sizeBytes: size,
    sequencer: normalizeSequencer(sequencer),
    uploadedAt: parseTime(eventTime),
  }
}

async function writeLabels(db: Pick<Drizzle, 'delete' | 'insert'>, id: string, row: Analysis): Promise<void> {
  const { genre, style1, style2, style3, style4, style5 } = row
  const createdAt = sql<Date>`(select ${jobs.createdAt} from ${jobs} where ${jobs.id} = ${id})`
  const styles = [...new Set([style1, style2, style3, style4, style5])]
  await db.delete(artLabels).where(eq(artLabels.jobId, id))
  await db
    .insert(artLabels)
    .values([
      { kind: 'genre', name: genre, createdAt, jobId: id },
      ...styles.map((name) => ({ kind: 'style' as const, name, createdAt, jobId: id })),
    ])
}

/** Null for what is not a time from 1970 to 9999: it comes from a message, which anyone may have written. */
function parseTime(text: string): Date | null {
  const time = Date.parse(text)
  return time >= 0 && time < latestTime ? new Date(time) : null
}
