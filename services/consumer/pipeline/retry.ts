import timers from 'node:timers/promises'
import { RetryableFailure } from '#shared/failure.ts'
import { type Backoff, backoffSeconds } from './backoff.ts'

/** Half a minute in all, most of an ordinary lease: a failover is over by then. */
const backoff: Backoff = { firstSeconds: 0.5, mostSeconds: 10 }
const maxTries = 8

/**
 * Runs `write`, which must be idempotent, again after a RetryableFailure: ever later, a bounded number of times, and only
 * until `signal` is aborted. Throws what the last try threw, or an AbortError.
 */
export async function retryWrite<T>(
  write: () => Promise<T>,
  {
    signal,
    random,
    onError,
  }: {
    signal: AbortSignal
    random: () => number
    /** Hears of a try that failed and will be repeated. */
    onError: (error: unknown) => void
  },
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await write()
    } catch (error) {
      if (tries === maxTries || signal.aborted || !(error instanceof RetryableFailure)) throw error
      onError(error)
      await timers.setTimeout(backoffSeconds(tries, backoff, random) * 1000, undefined, { signal })
    }
  }
}
