/** What a watched job gives reason to expect, in milliseconds of the clock that `createPace` reads. */
export interface Outlook {
  /** Its end is foreseen from here on, and until there. */
  nearFrom?: number
  nearUntil?: number
  /** It has begun to move lately, and may be a short one: until there. */
  freshUntil?: number
}

/** Queries a second in the long run, and those saved up at most. */
const rate = 2
const capacity = 20
/** Kept for the ends that are foreseen. */
const reserve = 10
/** Looks for those who come new are owed, but soon forgiven: who waits must be looked for again. */
const mostOwed = 4

/** Milliseconds from one look to the next. */
const gaps = { new: 50, near: 100, fresh: 100, idle: 1200 }
const backoff = { first: 1000, most: 5000 }

/**
 * When to look at the watched jobs again: about once a second while there is nothing to see, ten times while an end is near,
 * out of the queries that were saved before. Whatever is watched, queries never pass `rate` by more than `capacity`, but
 * for those who come new: they are looked for at once, together.
 */
export function createPace(now: () => number) {
  let tokens = capacity
  let countedAt = now()
  let lookedAt = Number.NEGATIVE_INFINITY
  let failures = 0

  function refill(): void {
    const time = now()
    tokens = Math.min(capacity, tokens + ((time - countedAt) / 1000) * rate)
    countedAt = time
  }

  /** When `gap` has passed and a query can be had that leaves `kept`. */
  function at(gap: number, kept = 0): number {
    return Math.max(lookedAt + gap, countedAt + ((kept + 1 - tokens) / rate) * 1000)
  }

  return {
    /** A query is being made. */
    spend(): void {
      refill()
      tokens = Math.max(-mostOwed, tokens - 1)
    },

    look(): void {
      lookedAt = now()
    },

    succeeded(): void {
      failures = 0
    },

    failed(): void {
      failures++
      lookedAt = now()
    },

    /** `isNew`: something is watched that has not been looked at yet. */
    nextLook({ isNew, outlooks }: { isNew: boolean; outlooks: Iterable<Outlook> }): number {
      refill()
      if (failures > 0) return at(Math.min(backoff.first * 2 ** (failures - 1), backoff.most))
      const near = at(gaps.near)
      const fresh = at(gaps.fresh, reserve)
      let next = at(gaps.idle)
      // Who asks for what has ended does not wait for those who wait.
      if (isNew) next = Math.min(next, lookedAt + gaps.new)
      for (const { nearFrom = 0, nearUntil = 0, freshUntil = 0 } of outlooks) {
        const begins = Math.max(near, nearFrom)
        if (begins < nearUntil) next = Math.min(next, begins)
        if (fresh < freshUntil) next = Math.min(next, fresh)
      }
      return next
    },
  }
}
