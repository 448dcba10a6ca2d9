import { bytesOf, type DeadLetter, readDeadLetter } from './dead-letter.ts'
import { createFilter, type Filter } from './filter.ts'
import type { Hold } from './hold.ts'

export type Selection = Filter & { limit: number }

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

/** `end`: there are no others. `limit`: so many were found. `full`: no more could be held. `late`: the time was up. */
type Stop = 'end' | 'limit' | 'full' | 'late'

/**
 * Reads the dead-letter queue until so many match, the longest failed first. All that is read stays in `hold`, so that
 * nothing comes twice, and what a replay brings back to the queue is not met again.
 */
export async function collect(
  hold: Pick<Hold, 'receive'>,
  { limit, ...filter }: Selection,
  { signal, late, now, ...most }: Bounds,
): Promise<{ letters: DeadLetter[]; stop: Stop }> {
  const bounds = { maxReceived, maxBytes, bytesOf, ...most }
  const matches = createFilter(filter, now)
  const named = new Set(filter.id).size || Number.POSITIVE_INFINITY
  const enough = Math.min(limit, named)
  const found = new Map<string, DeadLetter>()
  let received = 0
  let bytes = 0
  const done = (stop: Stop) => ({
    letters: [...found.values()].toSorted((a, b) => a.failedAt.getTime() - b.failedAt.getTime()),
    stop,
  })
  while (received < bounds.maxReceived && bytes < bounds.maxBytes) {
    signal.throwIfAborted()
    if (late?.aborted) return done('late')
    const messages = await hold.receive()
    if (!messages.length) return done('end')
    received += messages.length
    for (const message of messages) {
      if (found.size === enough || bytes >= bounds.maxBytes) break
      const letter = readDeadLetter(message)
      if (!matches(letter) || found.has(letter.id)) continue
      bytes += bounds.bytesOf(letter)
      found.set(letter.id, letter)
    }
    if (found.size === enough) return done(enough === named ? 'end' : 'limit')
  }
  return done('full')
}
