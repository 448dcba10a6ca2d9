import timers from 'node:timers/promises'
import { RetryableFailure } from '#shared/failure.ts'
import { type Backoff, backoffSeconds } from './backoff.ts'

const backoff: Backoff = { firstSeconds: 0.5, mostSeconds: 5 }

/**
 * Runs `write`, which must be idempotent, again after a RetryableFailure: ever later, for so many seconds at most, and only
 * until `signal` is aborted. Throws what the last try threw.
 */
export async function retryWrite<T>(
  write: () => Promise<T>,
  {
    signal,
    seconds,
    random,
    onError,
  }: {
    signal: AbortSignal
    seconds: number
    random: () => number
    /** Hears of a try that failed and will be repeated. */
    onError: (error: unknown) => void
  },
): Promise<T> {
  const over = new AbortController()
  const end = () => over.abort()
  const timer = setTimeout(end, seconds * 1000)
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  try {
    for (let tries = 1; ; tries++) {
      try {
        return await write()
      } catch (error) {
        if (over.signal.aborted || !(error instanceof RetryableFailure)) throw error
        onError(error)
        const pauseMs = backoffSeconds(tries, backoff, random) * 1000
        await timers.setTimeout(pauseMs, undefined, { signal: over.signal }).catch(() => {
          throw error
        })
      }
    }
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', end)
  }
}
