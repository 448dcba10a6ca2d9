import type { Static } from 'typebox'
import type { Connection } from '../client/connection.ts'
import type * as deadLetters from '../routes/dead-letters.ts'
import type { Operations } from '../routes/operations.ts'

export type { Operations }

type DeadLetters = Static<typeof deadLetters.DeadLetters>
type Replays = Static<typeof deadLetters.Replays>
export type DeadLetter = DeadLetters['letters'][number]
export type ReplayedLetter = Replays['letters'][number]

/** A look that takes longer than this says nothing of the present. */
const operationsTimeoutMs = 15_000

/** The calls for operators, which the app's client does not have. Each asks once. */
export function createOperatorApi({ ask }: Connection) {
  return {
    async operations(signal: AbortSignal): Promise<Operations> {
      const call = { path: '/v1/operations', timeoutMs: operationsTimeoutMs, signal }
      return (await ask<Operations>(call)).body
    },

    async deadLetters(
      query: { code?: string | undefined; prefix?: string | undefined; limit: number },
      signal: AbortSignal,
    ): Promise<DeadLetters> {
      return (await ask<DeadLetters>({ path: '/v1/dead-letters', query, signal })).body
    },

    async replay(body: Static<typeof deadLetters.Replay>, signal: AbortSignal): Promise<Replays> {
      return (await ask<Replays>({ path: '/v1/replays', body, signal })).body
    },
  }
}
