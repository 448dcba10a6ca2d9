import { createDeadline, throwIfAborted } from './clock.ts'
import type { Connection } from './connection.ts'
import type { Result } from './contract.ts'
import { PromenadeError, readRetryAfter } from './promenade-error.ts'
import { callFor, isFinal, type Which } from './results.ts'

export interface Following extends Which {
  /** Ten minutes when absent, Infinity for no end; past it, PromenadeError TIMEOUT. */
  timeoutMs?: number | undefined
  /** Hears of what it is to recover from: a lost connection, a service that is away. */
  onInterruption?: ((error: PromenadeError) => void) | undefined
}

type Bounded = Omit<Following, 'timeoutMs'>

interface Polling {
  changes: boolean
  /** The ETag of a result that has been told. */
  known?: string | undefined
}

const defaultTimeoutMs = 10 * 60_000
/** How long the API holds a call: below what proxies and mobile networks let a connection be silent for. */
const holdSeconds = 25
const answerMs = 15_000
/** From one call to the next, however fast things change. */
const leastGapMs = 500
const unknownRetryAfterSeconds = 2

/** Follows results until they have ended, through lost connections and a service that is away for a while. */
export function createFollowing({ ask, events, pause, canStream, clock }: Connection) {
  return {
    /** The result once it has succeeded, failed or been canceled. */
    async wait(
      key: string,
      { onProgress, ...options }: Following & { onProgress?: ((result: Result) => void) | undefined } = {},
    ): Promise<Result> {
      const changes = onProgress !== undefined
      let last: Result | undefined
      for await (const result of within(options, (bounded) => poll(key, bounded, { changes }))) {
        onProgress?.(result)
        last = result
      }
      return last!
    },

    /** The result now and whenever it changes, the last time when it has ended. */
    stream(key: string, options: Following = {}): AsyncGenerator<Result, void> {
      return within(options, (bounded) => (canStream ? listen(key, bounded) : poll(key, bounded, { changes: true })))
    },
  }

  async function* within(
    { timeoutMs = defaultTimeoutMs, signal, ...which }: Following,
    follow: (bounded: Bounded) => AsyncGenerator<Result, void>,
  ): AsyncGenerator<Result, void> {
    throwIfAborted(signal)
    const deadline = createDeadline(timeoutMs, signal)
    deadline.start()
    try {
      yield* follow({ ...which, signal: deadline.signal })
    } catch (error) {
      throwIfAborted(signal)
      if (!deadline.signal.aborted) throw error
      throw new PromenadeError('TIMEOUT', `Not finished after ${timeoutMs / 1000} s`, { retryable: true })
    } finally {
      deadline.close()
    }
  }

  async function recover(error: unknown, failures: number, { signal, onInterruption }: Bounded): Promise<void> {
    throwIfAborted(signal)
    if (error instanceof PromenadeError && error.retryable) onInterruption?.(error)
    await pause(error, failures, signal)
  }

  /**
   * Calls that the API holds until the end, or with `changes` until there is something new, after the result of `known`.
   */
  async function* poll(key: string, options: Bounded, { changes, known }: Polling): AsyncGenerator<Result, void> {
    const { query, ...call } = callFor(key, options)
    let etag = known
    let isRefused = false
    let refusals = 0
    for (let failures = 0; ; ) {
      const askedAt = clock.now()
      const hold: number = isRefused || (changes && !etag) ? 0 : holdSeconds
      const timeoutMs = hold * 1000 + answerMs
      try {
        const headers = { 'if-none-match': etag }
        const answer = await ask<Result | undefined>({ ...call, query: { ...query, wait: hold }, headers, timeoutMs })
        failures = 0
        isRefused = false
        if (hold) refusals = 0
        if (changes) etag = answer.headers.get('etag') ?? undefined
        if (answer.body) yield answer.body
        if (answer.body && isFinal(answer.body)) return
        const passedMs = clock.now() - askedAt
        // Answered before its time and without news: it is not held now.
        const isEarly = passedMs < hold * 900 && !(etag && answer.body)
        const retryAfterSeconds = readRetryAfter(answer.headers) ?? unknownRetryAfterSeconds
        const gapMs = isEarly || !(etag || hold) ? retryAfterSeconds * 1000 : leastGapMs - passedMs
        if (gapMs > 0) await clock.sleep(gapMs, options.signal)
      } catch (error) {
        isRefused = hold > 0 && isOverload(error)
        if (isRefused) await pause(error, ++refusals, options.signal)
        else await recover(error, ++failures, options)
      }
    }
  }

  /** Server-sent events, taken up again after the last one that came; by polling where they bring nothing new. */
  async function* listen(key: string, options: Bounded): AsyncGenerator<Result, void> {
    const call = callFor(key, options)
    let last: string | undefined
    for (let failures = 0; ; ) {
      let retryMs: number | undefined
      try {
        for await (const event of events<Result>({ ...call, headers: { 'last-event-id': last } })) {
          // Answers come as a whole here.
          if (!event) break
          failures = 0
          last = event.id
          retryMs = Math.max(event.retryMs ?? 0, leastGapMs)
          yield event.data
          if (isFinal(event.data)) return
        }
        // A server ends every stream some time. A function has no more to tell than what was so at its start.
        if (retryMs === undefined) break
        await clock.sleep(retryMs, options.signal)
      } catch (error) {
        if (isOverload(error)) {
          await pause(error, 1, options.signal)
          break
        }
        await recover(error, ++failures, options)
      }
    }
    // The id of an event is what stands in the ETag of the same result.
    yield* poll(key, options, { changes: true, known: last && `W/"${last}"` })
  }
}

/** Of a call that is to be held: too many are. One that is not may be answered all the same. */
function isOverload(error: unknown): boolean {
  return error instanceof PromenadeError && error.code === 'OVERLOADED'
}
