import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from './hub-error.ts'

const maxAttempts = 5
/** However much each attempt brings. */
const maxAttemptsInAll = 100

export interface RetryOptions {
  signal: AbortSignal
  /** Doubles with each attempt in vain. */
  delayMilliseconds: number
  onRetry: (message: string) => void
}

/** Attempts again after what may pass: 5 times in a row without `progress` growing, and not without end. */
export async function retried<T>(
  attempt: () => Promise<T>,
  { signal, delayMilliseconds, onRetry, progress = () => 0 }: RetryOptions & { progress?: () => number },
): Promise<T> {
  let inVain = 0
  for (let attempts = 1; ; attempts++) {
    const before = progress()
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof HubError && error.retryable)) throw error
      inVain = progress() > before ? 1 : inVain + 1
      if (inVain === maxAttempts || attempts === maxAttemptsInAll) throw error
      onRetry(`${error.message}; trying again`)
    }
    await sleep(delayMilliseconds * 2 ** (inVain - 1), undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}
