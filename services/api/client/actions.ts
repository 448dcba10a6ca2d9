import type { Clock } from './clock.ts'
import type { Connection } from './connection.ts'
import type { Analysis, Cancellation, Result, TakeOrder } from './contract.ts'

export interface Act {
  signal?: AbortSignal | undefined
}

export interface Once extends Act {
  /** The same call with the same key is done once, however often it comes. One is made when absent. */
  idempotencyKey?: string | undefined
}

/** The API waits for a minute at most. */
const analyzeMs = 75_000

/** Makes the API do something. */
export function createActions({ ask, persist, clock }: Connection) {
  const once = async <T>(path: string, body: unknown, { signal, idempotencyKey = newId(clock) }: Once) => {
    const call = { path, body, headers: { 'idempotency-key': idempotencyKey }, signal }
    return (await persist(() => ask<T>(call), signal)).body
  }

  return {
    /** Orders a new take on a picture that is analysed; its result is then followed by its `version` and `take`. */
    generate: (order: TakeOrder, options: Once = {}) => once<Result>('/v1/generations', order, options),

    /** Stops a queued or running job. */
    cancel: (wanted: Cancellation, options: Once = {}) => once<Result>('/v1/cancellations', wanted, options),

    /**
     * Everything in one call, for a picture that is in the bucket. It is not tried again: after PromenadeError TIMEOUT,
     * which names the result's path as `problem.instance`, `wait` goes on.
     */
    async analyze(imageUrl: string, { signal }: Act = {}): Promise<Analysis> {
      const call = { path: '/analyze', body: { image_url: imageUrl }, signal, timeoutMs: analyzeMs }
      return (await ask<Analysis>(call)).body
    },
  }
}

/** React Native has no `crypto`; ids need to be unique, not secret. */
function newId({ now, random }: Clock): string {
  const { crypto } = globalThis as { crypto?: { randomUUID?(): string } }
  const made = crypto?.randomUUID?.()
  if (made) return made
  const digits = Array.from({ length: 24 }, () => Math.floor(random() * 16).toString(16))
  return `${now().toString(16)}-${digits.join('')}`
}
