/**
 * All who ask while it is being read, or within `keptMs` after, hear the same; after a failure it is read at once. `now` in
 * milliseconds.
 */
export function readTogether<T>(
  read: () => Promise<T>,
  { keptMs, now = () => performance.now() }: { keptMs: number; now?: (() => number) | undefined },
): () => Promise<T> {
  let known: { answer: Promise<T>; until: number } | undefined

  return () => {
    if (known && now() < known.until) return known.answer
    const reading = { answer: read(), until: Number.POSITIVE_INFINITY }
    known = reading
    reading.answer.then(
      () => {
        reading.until = now() + keptMs
      },
      () => {
        reading.until = 0
      },
    )
    return reading.answer
  }
}
