import { and, eq, gt, inArray, type SQL, sql } from 'drizzle-orm'
import type { MySqlUpdateSetSource } from 'drizzle-orm/mysql-core'
import type { ErrorCode } from '../contract/error-code.ts'
import { type FinalState, isFinal, type JobState } from '../contract/result.ts'
import type { Drizzle } from './client.ts'
import { jobs, webhookEvents } from './schema.ts'

/** Who holds a job: its id, and the token of one claim, never used for another. */
export interface Lease {
  id: string
  token: string
}

export interface JobError {
  code: ErrorCode
  message: string
  retryable: boolean
}

type Statements = Pick<Drizzle, 'update' | 'select' | 'insert'>

const maxErrorMessageLength = 500

/** By the database's clock. */
export const now = sql<Date>`utc_timestamp(3)`

export function isHeld({ id, token }: Lease): SQL {
  return and(eq(jobs.id, id), eq(jobs.leaseToken, token), eq(jobs.state, 'processing'), gt(jobs.leaseExpiresAt, now))!
}

/**
 * Moves a job that is held by this lease out of `processing`; its end is announced. True also when the same lease has
 * done so before: the answer to the first try was lost with its connection.
 */
export async function leave(
  db: Statements,
  lease: Lease,
  state: JobState,
  columns: MySqlUpdateSetSource<typeof jobs>,
): Promise<boolean> {
  if (await move(db, lease.id, isHeld(lease), state, columns)) return true
  const done = and(eq(jobs.id, lease.id), eq(jobs.leaseToken, lease.token), eq(jobs.state, state))
  return (await db.select({ id: jobs.id }).from(jobs).where(done)).length > 0
}

/** Ends a job that has not ended, whoever holds it; its end is announced. */
export async function cancelJob(db: Statements, id: string): Promise<void> {
  const isUnfinished = and(eq(jobs.id, id), inArray(jobs.state, ['queued', 'processing']))!
  const error = errorColumns({ code: 'CANCELED', message: 'The job was canceled on request', retryable: false })
  await move(db, id, isUnfinished, 'canceled', { finishedAt: now, ...error })
}

export function errorColumns({ code, message, retryable }: JobError) {
  const errorMessage = Array.from(message.toWellFormed()).slice(0, maxErrorMessageLength).join('')
  return { errorCode: code, errorMessage, errorRetryable: retryable }
}

async function move(
  db: Statements,
  id: string,
  where: SQL,
  state: JobState,
  columns: MySqlUpdateSetSource<typeof jobs>,
): Promise<boolean> {
  const [{ affectedRows }] = await db
    .update(jobs)
    .set({ ...columns, state, stage: null, etaSeconds: null, leaseExpiresAt: null, updatedAt: now })
    .where(where)
  if (affectedRows === 0) return false
  if (isFinal(state)) await announceEnd(db, id, state)
  return true
}

/** In the transaction in which the job ends: whoever is to hear of it does, and only of what has happened. */
async function announceEnd(db: Pick<Drizzle, 'insert'>, id: string, state: FinalState): Promise<void> {
  await db.insert(webhookEvents).values({ jobId: id, state, createdAt: now })
}
