import { PromenadeError, type Result } from '../client/client.ts'
import type { Session } from './session.ts'

interface Following {
  key: string
  version: string | undefined
  take: number
  session: Session
  signal: AbortSignal
  onResult: (result: Result) => void
  /** The connection is lost, or the service away; the next result says that it is back. */
  onLost: (error: PromenadeError | undefined) => void
}

/** A queue may be longer than the client waits for by itself. */
const roundMs = 24 * 60 * 60_000
const backoff = { firstMs: 500, mostMs: 15_000 }

/**
 * Tells the result now and whenever it changes, until it has ended, however long that takes and however often the
 * connection is lost. A page that nobody sees holds none: a browser has few of them for all its tabs. Throws what trying
 * again does not help against, and the signal's reason.
 */
export async function follow({ key, version, take, session, signal, onResult, onLost }: Following): Promise<Result> {
  let last: Result | undefined
  for (let failures = 0; ; ) {
    while (document.hidden) await until('visibilitychange', signal)
    const round = new AbortController()
    let interruption: unknown
    const interrupt = (reason: unknown) => {
      interruption ??= reason
      round.abort()
    }
    const bound = { signal: round.signal }
    signal.addEventListener('abort', interrupt, bound)
    addEventListener('online', interrupt, bound)
    addEventListener('visibilitychange', interrupt, bound)
    const offline = (event: Event) => {
      onLost(undefined)
      interrupt(event)
    }
    addEventListener('offline', offline, bound)
    try {
      await session.with(async (client) => {
        const addresses = { musicUrl: 'presigned', imageUrl: 'presigned' } as const
        // A stream that is taken up again tells only what has changed; a new one tells at once that it is there.
        const options = { version, take, ...addresses, ...bound, timeoutMs: roundMs, onInterruption: interrupt }
        for await (const result of client.stream(key, options)) {
          failures = 0
          last = result
          onResult(result)
        }
      })
      return last!
    } catch (thrown) {
      signal.throwIfAborted()
      const error = interruption ?? thrown
      if (error instanceof Event) continue
      if (!(error instanceof PromenadeError && error.retryable)) throw error
      failures++
      // One connection may be lost by chance, and the next be there at once; not so when the service asks for time.
      if (failures > 1 || error.retryAfterSeconds) onLost(error)
      const milliseconds = Math.min(backoff.firstMs * 2 ** (failures - 1), backoff.mostMs)
      await until('online', signal, Math.max(milliseconds, (error.retryAfterSeconds ?? 0) * 1000))
    } finally {
      round.abort()
    }
  }
}

/** The window hears of it, or so many milliseconds have passed. */
function until(type: 'online' | 'visibilitychange', signal: AbortSignal, milliseconds?: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const ended = new AbortController()
    const end = () => {
      clearTimeout(timer)
      ended.abort()
      if (signal.aborted) reject(signal.reason)
      else resolve()
    }
    const timer = milliseconds === undefined ? undefined : setTimeout(end, milliseconds)
    addEventListener(type, end, { signal: ended.signal })
    signal.addEventListener('abort', end, { signal: ended.signal })
  })
}
