import { setTimeout as sleep } from 'node:timers/promises'
import { type DeadLetter, replayedAttributes } from './dead-letter.ts'
import type { DeadLetterQueue } from './dead-letter-queue.ts'
import type { Hold } from './hold.ts'

/** A message that was sent again so often is left: it would only come back. */
export const maxReplays = 3

/** Failures one after the other that end the run: it is not the messages that are at fault. */
const maxFailures = 3

/** The trail cannot be written any more: nothing further may be done. */
export class AuditError extends Error {
  override name = 'AuditError'
}

/** Sent, and not taken off the dead-letter queue: sent once more, it does no harm. */
export class LiesInBoth extends Error {
  override name = 'LiesInBoth'
  readonly newId: string

  constructor(newId: string, cause: Error) {
    super(`it was sent as ${newId} and lies in both queues now: ${cause.message}`, { cause })
    this.newId = newId
  }
}

/**
 * Sends a message to the source queue, then takes it off the dead-letter queue: cut off in between it lies in both, never in
 * neither, and its job begins anew once all the same. It is recorded before the removal, so that nothing leaves without a
 * trace. Resolves to the new message's id; throws LiesInBoth, and what `record` throws.
 */
export function createReplay({
  queue,
  hold,
  record,
}: {
  queue: Pick<DeadLetterQueue, 'sendToQueue'>
  hold: Pick<Hold, 'check' | 'remove'>
  record: (letter: DeadLetter, newId: string) => Promise<void>
}) {
  return async (letter: DeadLetter): Promise<string> => {
    hold.check(letter.id)
    const newId = await queue.sendToQueue(letter.body, replayedAttributes(letter.attributes))
    await record(letter, newId)
    await hold.remove(letter.id).catch((cause: Error) => {
      throw new LiesInBoth(newId, cause)
    })
    return newId
  }
}

interface Tally {
  done: number
  failed: number
  /** Of those that were not begun: the first. */
  rest: number
}

/**
 * Does `step` for one item after the other, no more than `rate` a second. The item at hand is finished when `signal` is
 * aborted, and no other begun. A step that throws is told, and the next one begun. Throws AuditError.
 */
export async function inTurn<T>(
  items: readonly T[],
  step: (item: T) => Promise<void>,
  { rate, signal, onError }: { rate: number; signal: AbortSignal; onError: (item: T, error: Error) => void },
): Promise<Tally> {
  const tally: Tally = { done: 0, failed: 0, rest: items.length }
  let failures = 0
  let next = performance.now()
  for (const item of items) {
    await sleep(Math.max(0, next - performance.now()), undefined, { signal }).catch(() => {})
    if (signal.aborted || failures === maxFailures) break
    next = Math.max(next, performance.now()) + 1000 / rate
    tally.rest--
    try {
      await step(item)
      tally.done++
      failures = 0
    } catch (error) {
      if (error instanceof AuditError) throw error
      tally.failed++
      failures++
      onError(item, error as Error)
    }
  }
  return tally
}
