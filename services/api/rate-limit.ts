const windowMs = 60_000
/** Bounds the memory: with more names than this all begin anew. */
const maxNames = 100_000

interface Allowance {
  isOver: boolean
  remaining: number
  /** Until all is allowed again. */
  resetSeconds: number
}

/**
 * Counts by name, up to a limit a minute, in this process alone. All minutes begin together, so that a count costs no
 * more than a look into a map. `now` in milliseconds.
 */
export function createRateLimit({ limit, now = () => performance.now() }: { limit: number; now?: () => number }) {
  const counts = new Map<string, number>()
  let end = Number.NEGATIVE_INFINITY

  function add(name: string, more: number): Allowance {
    // Whole milliseconds, in which adding and subtracting is exact.
    const time = Math.floor(now())
    if (time >= end || counts.size >= maxNames) {
      counts.clear()
      end = time + windowMs
    }
    const count = (counts.get(name) ?? 0) + more
    if (more) counts.set(name, count)
    return {
      isOver: count > limit,
      remaining: Math.max(0, limit - count),
      resetSeconds: Math.ceil((end - time) / 1000),
    }
  }

  return {
    /** Counts one more. */
    take: (name: string) => add(name, 1),
    look: (name: string) => add(name, 0),
  }
}
