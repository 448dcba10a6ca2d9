import type { DeadLetterReason } from '#shared/aws/queue.ts'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import type { JobError } from '#shared/db/job-end.ts'
import type { Jobs } from '#shared/db/jobs.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import type { Logger } from '#shared/logger.ts'
import { type Outages, outageCodes } from '../outages.ts'
import { backoffSeconds, failureBackoff, outageBackoff } from './backoff.ts'
import { type KeptLease, keepLease } from './lease.ts'
import { createMusicMaker, type MusicMakerOptions } from './music-maker.ts'
import type { Observer } from './observer.ts'
import { createProgressReporter, type ProgressReporter } from './progress.ts'
import { retryWrite } from './retry.ts'
import { beginTry, type Try, type Work } from './try.ts'

/**
 * `settled`: finished for good, well or badly. `left`: another has it, who will settle it. `refused`: not taken, and the
 * message is to be dead-lettered. Otherwise it is to be tried again after so many seconds.
 */
export type Outcome = 'settled' | 'left' | { refused: DeadLetterReason } | { retryAfterSeconds: number }

export type Pipeline = ReturnType<typeof createPipeline>

interface ClaimedTry extends Try {
  attempt: number
  lease: KeptLease
  progress: ProgressReporter
}

const meetsOutage: ReadonlySet<ErrorCode> = new Set(outageCodes)

/** A message whose picture is held comes back when the holder's lease is over, and up to so much of it later. */
const heldJitter = 0.25

/**
 * What happens to one take on a picture, from claim to record. The order of writes is WAV, row, acknowledgement on the way to
 * success and dead letter, row, acknowledgement on the way to failure, and each can be done twice with the effect of once:
 * cut off anywhere, the next try completes it.
 */
export function createPipeline({
  jobs,
  maxAttempts,
  outages,
  observer,
  now,
  ...making
}: {
  jobs: Pick<Jobs, 'receive' | 'reopen' | 'claim' | 'renew' | 'progress' | 'succeed' | 'fail' | 'release' | 'look'>
  maxAttempts: number
  outages: Pick<Outages, 'begin' | 'isOwnFault'>
  observer: Pick<Observer, 'tryEnded'>
  /** Milliseconds since 1970. */
  now: () => number
} & MusicMakerOptions) {
  const { random, leaseSeconds } = making
  const { makeMusic } = createMusicMaker({ jobs, ...making })

  /** Never throws. */
  async function processImage(work: Work): Promise<Outcome> {
    const begun = beginTry(work, { observer, now })
    const { id, assignment, token, delivery, logger, signal, stopwatch } = begun
    const attempts = delivery.receiveCount
    const refuse = (reasonCode: ErrorCode, reason: string): Outcome => ({
      refused: { reasonCode, reason, attempts, imageKey: assignment.key },
    })
    let isClaiming = false
    const claimBrought = async () => {
      await bring(begun)
      isClaiming = true
      const claim = await jobs.claim(id, { token, leaseSeconds })
      isClaiming = false
      return claim
    }
    try {
      let claim = await claimBrought()
      // Its holder may have failed between the two, for want of what this message brings.
      if (claim.outcome === 'settled' && claim.state === 'failed') claim = await claimBrought()
      if (claim.outcome === 'settled') {
        logger.info({ state: claim.state }, 'already settled')
        return 'settled'
      }
      if (claim.outcome === 'held') {
        const retryAfterSeconds = Math.max(1, claim.leaseSeconds) * (1 + heldJitter * random())
        logger.info({ retry_after_seconds: retryAfterSeconds }, 'held by another consumer')
        return { retryAfterSeconds }
      }
      if (claim.outcome === 'unknown') return refuse('MESSAGE_UNREADABLE', `There is no job ${id}: nobody ordered it`)
      const { attempt } = claim
      return await processClaimed({ ...begun, attempt, logger: logger.child({ attempt }) })
    } catch (error) {
      // Thrown by `receive` alone.
      if (error instanceof PermanentFailure) return refuse(error.code, error.message)
      logger.error({ err: error }, 'the picture could not be claimed or given back')
      const code = codeOf(error)
      if (meetsOutage.has(code)) outages.begin(code, stopwatch.startedAt)
      if (isClaiming) {
        // The job may be held all the same, for as long as nobody has heard of it.
        const seconds = leaseSeconds - (now() - stopwatch.startedAt) / 1000
        await write(() => jobs.release({ id, token, countAttempt: false }), { signal, seconds, logger }).catch(
          (cause: unknown) => logger.warn({ err: cause }, 'if it was claimed, it is free when its lease is over'),
        )
      }
      begun.ended('retried', { code })
      return { retryAfterSeconds: backoffSeconds(attempts, outageBackoff(leaseSeconds), random) }
    }
  }

  /** A database that is away for less than a lease costs no try. */
  function write<T>(
    statement: () => Promise<T>,
    { signal, seconds = leaseSeconds, logger }: { signal: AbortSignal; seconds?: number; logger: Logger },
  ): Promise<T> {
    const onError = (error: unknown) => logger.warn({ err: error }, 'the job could not be written, trying again')
    return retryWrite(statement, { signal, seconds, random, onError })
  }

  /** An upload begins its job; an order's is there already, or the order is nobody's. */
  async function bring({ id, assignment, delivery: { failureId } }: Try): Promise<void> {
    if (!('take' in assignment)) await jobs.receive(assignment, failureId)
    else if (failureId) await jobs.reopen(id, failureId)
  }

  async function processClaimed(claimed: Omit<ClaimedTry, 'lease' | 'progress'>): Promise<Outcome> {
    const { id, token, attempt, delivery, logger, signal } = claimed
    const lease = keepLease({
      renew: async () => (await jobs.renew({ id, token, leaseSeconds })) && (await delivery.extend(leaseSeconds)),
      leaseSeconds,
      parent: signal,
      onError: (error) => logger.warn({ err: error }, 'the lease could not be renewed, trying again'),
    })
    const progress = createProgressReporter({
      write: async (latest) => {
        if (!(await jobs.progress({ id, token, ...latest }))) lease.lose('someone else has it')
      },
      check: async () => {
        if ((await jobs.look(id))?.state !== 'processing') lease.lose('someone else has it')
      },
      signal: lease.signal,
      onError: (error) => logger.warn({ err: error }, 'progress could not be written, or the job looked up'),
      now,
    })
    const work: ClaimedTry = { ...claimed, lease, progress }
    try {
      if (attempt > maxAttempts) {
        const message = `The work on the picture ended ${attempt - 1} times without an answer`
        throw new RetryableFailure('GENERATION_FAILED', message)
      }
      const analysis = await makeMusic(work)
      const record = async () => !lease.isLost() && jobs.succeed({ id, token, analysis })
      const recorded = await write(record, { signal: lease.signal, logger })
      if (!recorded) return await leave(work)
      const { genre, style1, prompt, totalMs } = analysis
      logger.info({ genre, style1, prompt, total_ms: totalMs }, 'succeeded')
      work.ended('succeeded', { attempt })
      return 'settled'
    } catch (error) {
      return await giveUp(work, error).catch((cause: unknown) => {
        logger.error({ err: error }, 'the try failed, and that could not be written')
        throw cause
      })
    } finally {
      await Promise.all([lease.end(), progress.end()])
    }
  }

  /** Settles what can never succeed or has failed too often; gives back the rest. Throws when that cannot be written. */
  async function giveUp(work: ClaimedTry, error: unknown): Promise<Outcome> {
    const { id, token, attempt, assignment, delivery, logger, signal, lease, stopwatch, ended } = work
    const code = codeOf(error)
    const isOutage = meetsOutage.has(code) && !(await outages.isOwnFault(code, id, lease.signal))
    await lease.renewNoMore()
    if (lease.isLost()) return leave(work)
    const inTime = { signal: lease.signal, logger }
    const release = (more: { error?: JobError; countAttempt: boolean }) =>
      write(() => jobs.release({ id, token, ...more }), inTime)
    const permanent = error instanceof PermanentFailure
    if (signal.aborted && !permanent) {
      logger.info('given back to the queue: the consumer stops')
      if (!(await release({ countAttempt: false }))) return leave(work)
      ended('stopped', { attempt })
      return { retryAfterSeconds: 0 }
    }
    const message = error instanceof Error ? error.message : String(error)
    if (permanent || (attempt >= maxAttempts && !isOutage)) {
      if (!(await write(() => jobs.renew({ id, token, leaseSeconds }), inTime))) return leave(work)
      const failure = {
        reasonCode: code,
        reason: message,
        attempts: attempt,
        imageKey: assignment.key,
        failureId: token,
      }
      try {
        await delivery.deadLetter(failure)
      } catch (cause) {
        // Were it counted, a dead-letter queue that is away for long would in the end be what the picture failed with.
        await release({ countAttempt: false }).catch((error: unknown) =>
          logger.warn({ err: error }, 'the job is free when its lease is over'),
        )
        throw cause
      }
      const fail = () => jobs.fail({ id, token, code, message, retryable: !permanent })
      if (!(await write(fail, inTime))) return leave(work)
      logger.warn({ err: error, code }, 'failed for good, dead-lettered')
      ended('failed', { attempt, code })
      return 'settled'
    }
    if (isOutage) outages.begin(code, stopwatch.startedAt)
    const failure = { code, message, retryable: true }
    if (!(await release({ error: failure, countAttempt: !isOutage }))) return leave(work)
    const retryAfterSeconds = isOutage
      ? backoffSeconds(delivery.receiveCount, outageBackoff(leaseSeconds), random)
      : backoffSeconds(attempt, failureBackoff, random)
    logger.warn({ err: error, code, retry_after_seconds: retryAfterSeconds }, 'given back to the queue')
    ended('retried', { attempt, code })
    return { retryAfterSeconds }
  }

  /**
   * Nothing of the work is written after its lease is lost. Where that was the message's visibility alone, the job is still
   * ours, and free for the next at once; else this changes nothing. A job that was canceled wants nobody else, nor does one
   * whose success is this try's: its answer was lost, and a renewal asked before it was tried again.
   */
  async function leave({ id, token, attempt, logger, lease, ended }: ClaimedTry): Promise<Outcome> {
    const reason = String(lease.signal.reason ?? 'someone else has it')
    try {
      if (!(await jobs.release({ id, token, countAttempt: false }))) {
        const { state, token: last } = (await jobs.look(id)) ?? {}
        if (state === 'canceled' || (state === 'succeeded' && last === token)) {
          logger.info(`${state}, nothing more is written`)
          ended(state, { attempt })
          return 'settled'
        }
      }
    } catch (error) {
      logger.warn({ err: error }, 'the job is free when its lease is over')
    }
    logger.warn({ reason }, 'the lease is lost, nothing is written')
    ended('lost', { attempt })
    return 'left'
  }

  return { processImage }
}

function codeOf(error: unknown): ErrorCode {
  return error instanceof PermanentFailure || error instanceof RetryableFailure ? error.code : 'GENERATION_FAILED'
}
