/** Milliseconds that a timer can take: 24 days. It fires at once for more. */
const longestTimer = 2 ** 31 - 1

export type Clock = typeof systemClock

export const systemClock = {
  now: (): number => Date.now(),
  /** 0 to 1. */
  random: (): number => Math.random(),
  /** Rejects when the signal is aborted. */
  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', abort)
      }
      const abort = () => {
        end()
        reject(abortReason(signal!))
      }
      const timer = setTimeout(() => {
        end()
        resolve()
      }, milliseconds)
      if (signal?.aborted) abort()
      else signal?.addEventListener('abort', abort)
    })
  },
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortReason(signal)
}

/** Not every platform keeps the reason. */
function abortReason(signal: AbortSignal): unknown {
  return signal.reason ?? Object.assign(new Error('This operation was aborted'), { name: 'AbortError' })
}

/**
 * Aborts when `outer` does, and when it has run for so long since its last start; never, where that is longer than a timer
 * can take. AbortSignal.any and AbortSignal.timeout are not on every platform.
 */
export function createDeadline(milliseconds: number, outer: AbortSignal | undefined) {
  const controller = new AbortController()
  const abort = () => controller.abort()
  let timer: ReturnType<typeof setTimeout> | undefined
  outer?.addEventListener('abort', abort)
  if (outer?.aborted) abort()
  const stop = () => clearTimeout(timer)
  return {
    signal: controller.signal,
    start(): void {
      stop()
      if (milliseconds <= longestTimer) timer = setTimeout(abort, milliseconds)
    },
    stop,
    /** Whatever still uses the signal is ended. */
    close(): void {
      stop()
      outer?.removeEventListener('abort', abort)
      abort()
    },
  }
}
