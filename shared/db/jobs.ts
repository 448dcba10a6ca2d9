import { and, eq, gt, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import type { MySqlUpdateSetSource } from 'drizzle-orm/mysql-core'
import type { ErrorCode } from '../contract/error-code.ts'
import { jobId, keyDigest, normalizeSequencer } from '../contract/key.ts'
import type { ImageUploaded } from '../contract/queue-message.ts'
import { type FinalState, isFinal, type JobStage, type JobState } from '../contract/result.ts'
import { PermanentFailure } from '../failure.ts'
import type { Database, Drizzle } from './client.ts'
import { DatabaseRefusal } from './database-error.ts'
import { artAnalysis, artLabels, jobs, webhookEvents } from './schema.ts'

/** Who holds a job: its id, and the token of one claim, never used for another. */
interface Lease {
  id: string
  token: string
}

export type Claim =
  | { outcome: 'claimed'; attempt: number }
  | { outcome: 'settled'; state: JobState }
  | { outcome: 'held'; leaseSeconds: number }

/** What a finished take adds to the record; the rest of the row is the database's. */
export type Analysis = Omit<typeof artAnalysis.$inferInsert, 'id' | 'jobId' | 'createdAt'>

export interface JobError {
  code: ErrorCode
  message: string
  retryable: boolean
}

export type Jobs = ReturnType<typeof createJobs>

const maxErrorMessageLength = 500
/** Of `datetime`. */
const latestTime = Date.UTC(10_000, 0)

const now = sql<Date>`utc_timestamp(3)`
const fromNow = (seconds: number) => sql<Date>`utc_timestamp(3) + interval ${Math.ceil(seconds * 1e6)} microsecond`
const leaseIsOver = lte(jobs.leaseExpiresAt, now)
const secondsLeft = sql<number | null>`timestampdiff(microsecond, ${now}, ${jobs.leaseExpiresAt}) / 1e6`

function isHeld({ id, token }: Lease): SQL {
  return and(eq(jobs.id, id), eq(jobs.leaseToken, token), eq(jobs.state, 'processing'), gt(jobs.leaseExpiresAt, now))!
}

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
     * Queues the work on an image version, unless it is known already; returns the job's id. In an unversioned bucket the
     * same bytes put back are the same version, announced with a greater sequencer: a job that has failed begins anew. So
     * it does for a dead letter sent again, which names the claim that failed, and thus once only.
     * Throws PermanentFailure MESSAGE_UNREADABLE when the database does not take what the message says.
     */
    async receive(upload: ImageUploaded, take = 0, failureId?: string): Promise<string> {
      const id = jobId(upload, take)
      const sequencer = normalizeSequencer(upload.sequencer)
      const job = {
        id,
        bucket: upload.bucket,
        imageKey: upload.key,
        keyDigest: keyDigest(upload.bucket, upload.key),
        version: upload.version,
        versionId: upload.versionId ?? null,
        etag: upload.etag,
        take,
        sizeBytes: upload.size,
        sequencer,
        state: 'queued' as const,
        progress: 0,
        attempt: 0,
        uploadedAt: parseTime(upload.eventTime),
        createdAt: now,
        updatedAt: now,
      }
      // A holder may have looked for the picture before it was put back: the message comes again when it is done.
      const isHeldNow = and(eq(jobs.state, 'processing'), gt(jobs.leaseExpiresAt, now))
      const newer = sql`greatest(${jobs.sequencer}, ${sequencer})`
      const newest = sql`if(${isHeldNow}, ${jobs.sequencer}, ${newer})`
      const beginsAnew = or(lt(jobs.sequencer, sequencer), failureId ? eq(jobs.leaseToken, failureId) : undefined)
      try {
        await database.run(async (db) => {
          await db
            .update(jobs)
            .set({
              sequencer: newer,
              state: 'queued',
              progress: 0,
              attempt: 0,
              errorCode: null,
              errorMessage: null,
              errorRetryable: null,
              uploadedAt: job.uploadedAt,
              startedAt: null,
              finishedAt: null,
              updatedAt: now,
            })
            .where(and(eq(jobs.id, id), eq(jobs.state, 'failed'), beginsAnew))
          await db
            .insert(jobs)
            .values(job)
            .onDuplicateKeyUpdate({ set: { sequencer: newest } })
        })
      } catch (error) {
        if (!(error instanceof DatabaseRefusal && error.isAboutData)) throw error
        throw new PermanentFailure('MESSAGE_UNREADABLE', error.message, { cause: error })
      }
      return id
    },

    /**
     * Takes a job that is queued, or whose holder's lease is over. `settled`: nothing is left to do. `held`: another
     * holds it, for so long unless it renews. The token must be new: it tells a claim repeated after a lost connection from another's.
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
      if (!job) throw new Error(`No job ${id}: expected it to be received before it is claimed`)
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

/**
 * Moves a job that is held by this lease out of `processing`; its end is announced. True also when the same lease has
 * done so before: the answer to the first try was lost with its connection.
 */
async function leave(
  db: Pick<Drizzle, 'update' | 'select' | 'insert'>,
  lease: Lease,
  state: JobState,
  columns: MySqlUpdateSetSource<typeof jobs>,
): Promise<boolean> {
  const [{ affectedRows }] = await db
    .update(jobs)
    .set({ ...columns, state, stage: null, etaSeconds: null, leaseExpiresAt: null, updatedAt: now })
    .where(isHeld(lease))
  if (affectedRows > 0) {
    if (isFinal(state)) await announceEnd(db, lease.id, state)
    return true
  }
  const done = and(eq(jobs.id, lease.id), eq(jobs.leaseToken, lease.token), eq(jobs.state, state))
  return (await db.select({ id: jobs.id }).from(jobs).where(done)).length > 0
}

/** In the transaction in which the job ends: whoever is to hear of it does, and only of what has happened. */
async function announceEnd(db: Pick<Drizzle, 'insert'>, id: string, state: FinalState): Promise<void> {
  await db.insert(webhookEvents).values({ jobId: id, state, createdAt: now })
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

function errorColumns({ code, message, retryable }: JobError) {
  const errorMessage = Array.from(message.toWellFormed()).slice(0, maxErrorMessageLength).join('')
  return { errorCode: code, errorMessage, errorRetryable: retryable }
}

/** Null for what is not a time from 1970 to 9999: it comes from a message and is only for information. */
function parseTime(text: string): Date | null {
  const time = Date.parse(text)
  return time >= 0 && time < latestTime ? new Date(time) : null
}
