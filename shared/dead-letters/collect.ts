import { bytesOf, type DeadLetter, readDeadLetter } from './dead-letter.ts'
import { createFilter, type Filter } from './filter.ts'
import type { Hold } from './hold.ts'

export type Selection = Filter & {
  /** As many as one reading receives when absent. */
  limit?: number | undefined
  /** Those that were replayed so often are told apart, and do not count towards the limit. */
  maxReplays?: number | undefined
}

/** Messages that one reading receives at most: all of them are held until it ends. */
export const maxReceived = 10_000
const maxBytes = 256 * 2 ** 20

interface Bounds {
  /** Throws its reason. */
  signal: AbortSignal
  /** Ends reading with what was found until then. */
  late?: AbortSignal
  /** For the ages of messages, in milliseconds. */
  now: number
  maxReceived?: number
  /** Of the messages that match: no other is added to as many. */
  maxBytes?: number
  /** What counts of each: its body and its attributes when absent. */
  bytesOf?: (letter: DeadLetter) => number
}

/**
 * `end`: no others can be received. `named`: all that were named were found. `limit`: so many were found. `full`: no more could
 * be held. `late`: the time was up.
 */
type Stop = 'end' | 'named' | 'limit' | 'full' | 'late'

export interface Collected {
  /** The longest failed first. */
  letters: DeadLetter[]
  /** Of those replayed too often, as many as the others leave room. */
  worn: DeadLetter[]
  /** All of them. */
  wornCount: number
  /** Messages, those that do not match included. */
  received: number
  stop: Stop
}

/**
 * Reads the dead-letter queue until so many match. All that is read stays in `hold`, so that nothing comes twice, and what a
 * replay brings back to the queue is not met again.
 */
export async function collect(
  hold: Pick<Hold, 'receive'>,
  { limit = Number.POSITIVE_INFINITY, maxReplays = Number.POSITIVE_INFINITY, ...filter }: Selection,
  { signal, late, now, ...most }: Bounds,
): Promise<Collected> {
  const bounds = { maxReceived, maxBytes, bytesOf, ...most }
  const matches = createFilter(filter, now)
  const named = filter.id ? new Set(filter.id).size : Number.POSITIVE_INFINITY
  const seen = new Set<string>()
  const letters: DeadLetter[] = []
  const worn: DeadLetter[] = []
  let receipts = 0
  let wornCount = 0
  let bytes = 0
  let wornBytes = 0
  const isEachFound = () => letters.length + wornCount === named
  const isEnough = () => letters.length === limit || isEachFound()
  const isCrowded = () => letters.length + worn.length > limit || bytes + wornBytes > bounds.maxBytes
  const done = (stop: Stop): Collected => ({
    letters: letters.toSorted(longestFailedFirst),
    worn: worn.toSorted(longestFailedFirst),
    wornCount,
    received: seen.size,
    stop,
  })
  while (receipts < bounds.maxReceived && bytes < bounds.maxBytes) {
    signal.throwIfAborted()
    if (late?.aborted) return done('late')
    const messages = await hold.receive()
    if (!messages.length) return done('end')
    receipts += messages.length
    for (const message of messages) {
      if (isEnough() || bytes >= bounds.maxBytes) break
      const letter = readDeadLetter(message)
      if (seen.has(letter.id)) continue
      seen.add(letter.id)
      if (!matches(letter)) continue
      if (letter.replays < maxReplays) {
        letters.push(letter)
        bytes += bounds.bytesOf(letter)
      } else {
        worn.push(letter)
        wornCount++
        wornBytes += bounds.bytesOf(letter)
      }
      while (worn.length && isCrowded()) wornBytes -= bounds.bytesOf(worn.pop()!)
    }
    if (isEnough()) return done(isEachFound() ? 'named' : 'limit')
  }
  return done('full')
}

export function longestFailedFirst(a: DeadLetter, b: DeadLetter): number {
  return a.failedAt.getTime() - b.failedAt.getTime()
}
