import { createDeadline, throwIfAborted } from './clock.ts'
import type { Connection } from './connection.ts'
import type { Result } from './contract.ts'
import { PromenadeError, readRetryAfter } from './promenade-error.ts'
import { callFor, isFinal, type Which } from './results.ts'

export interface Following extends Which {
  /** Ten minutes when absent; past it, PromenadeError TIMEOUT. */
  timeoutMs?: number | undefined
  /** Hears of what it is to recover from: a lost connection, a service that is away. */
  onInterruption?: ((error: PromenadeError) => void) | undefined
}

type Bounded = Omit<Following, 'timeoutMs'>

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
      let last: Result | undefined
      for await (const result of within(options, (bounded) => poll(key, bounded, onProgress !== undefined))) {
        onProgress?.(result)
        last = result
      }
      return last!
    },

    /** The result now and whenever it changes, the last time when it has ended. */
    stream(key: string, options: Following = {}): AsyncGenerator<Result, void> {
      return within(options, (bounded) => (canStream ? listen(key, bounded) : poll(key, bounded, true)))
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

  /** Calls that the API holds until the end, or with `changes` until there is something new. */
  async function* poll(key: string, options: Bounded, changes: boolean): AsyncGenerator<Result, void> {
    const { query, ...call } = callFor(key, options)
    let etag: string | undefined
    for (let failures = 0; ; ) {
      const askedAt = clock.now()
      const hold = changes && !etag ? 0 : holdSeconds
      const timeoutMs = hold * 1000 + answerMs
      try {
        const headers = { 'if-none-match': etag }
        const answer = await ask<Result | undefined>({ ...call, query: { ...query, wait: hold }, headers, timeoutMs })
        failures = 0
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
        await recover(error, ++failures, options)
      }
    }
  }

  /** Server-sent events, taken up again after the last one that came. */
  async function* listen(key: string, options: Bounded): AsyncGenerator<Result, void> {
    const call = callFor(key, options)
    let last: string | undefined
    let retryMs = 0
    for (let failures = 0; ; ) {
      try {
        for await (const event of events({ ...call, headers: { 'last-event-id': last } })) {
          // Answers come as a whole here.
          if (!event) return yield* poll(key, options, true)
          failures = 0
          last = event.id
          retryMs = event.retryMs ?? 0
          const result: Result = JSON.parse(event.data)
          yield result
          if (isFinal(result)) return
        }
        const retryAfterSeconds = retryMs / 1000
        throw new PromenadeError('NETWORK_ERROR', 'The stream ended early', { retryable: true, retryAfterSeconds })
      } catch (error) {
        await recover(error, ++failures, options)
      }
    }
  }
}
