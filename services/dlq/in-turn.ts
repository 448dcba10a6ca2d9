import { setTimeout as sleep } from 'node:timers/promises'
import { AuditError } from './audit.ts'

/** Failures one after the other that end the run: it is not the messages that are at fault. */
const maxFailures = 3

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
