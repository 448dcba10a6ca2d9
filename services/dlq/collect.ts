import { type DeadLetter, readDeadLetter } from './dead-letter.ts'
import type { Hold } from './hold.ts'

/** Messages that one run receives at most: all of them are held until it ends. */
export const maxReceived = 10_000
const maxBytes = 256 * 2 ** 20

/** `end`: nothing is left unread. `limit`: so many were found. `full`: no more could be held. */
type Stop = 'end' | 'limit' | 'full'

/**
 * Reads the dead-letter queue until so many match, the longest failed first. All that is read stays in `hold`, so that
 * nothing comes twice, and what a replay brings back to the queue is not met again. Throws the reason of `signal`.
 */
export async function collect({
  hold,
  matches,
  limit,
  signal,
}: {
  hold: Pick<Hold, 'receive'>
  matches: (letter: DeadLetter) => boolean
  limit: number
  signal: AbortSignal
}): Promise<{ letters: DeadLetter[]; stop: Stop }> {
  const found = new Map<string, DeadLetter>()
  let received = 0
  let bytes = 0
  const done = (stop: Stop) => ({
    letters: [...found.values()].toSorted((a, b) => a.failedAt.getTime() - b.failedAt.getTime()),
    stop,
  })
  while (received < maxReceived && bytes < maxBytes) {
    signal.throwIfAborted()
    const messages = await hold.receive()
    if (!messages.length) return done('end')
    received += messages.length
    for (const message of messages) {
      const letter = readDeadLetter(message)
      if (!matches(letter) || found.has(letter.id) || found.size === limit) continue
      bytes += Buffer.byteLength(letter.body)
      found.set(letter.id, letter)
    }
    if (found.size === limit) return done('limit')
  }
  return done('full')
}
