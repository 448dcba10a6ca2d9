const minute = 60
const hour = 60 * minute

/** After each failed try, as the specification proposes: ten tries in three days. */
const delays = [5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour]
/** So that what failed together does not come back together. */
const jitter = 0.1
const longestRetryAfter = 24 * hour

/**
 * Seconds until the next try after so many failed ones; undefined when that was the last. `retryAfter`: the header of the
 * last answer, if it has one; it can put the next try off, within bounds, and never brings it forward.
 */
export function retrySeconds(
  failures: number,
  { random, retryAfter, now }: { random: () => number; retryAfter?: string | undefined; now: number },
): number | undefined {
  const delay = delays[failures - 1]
  if (delay === undefined) return undefined
  return Math.max(delay * (1 + jitter * random()), Math.min(parseRetryAfter(retryAfter, now), longestRetryAfter))
}

/** Seconds or a date, RFC 9110 section 10.2.3; 0 for what is neither. */
function parseRetryAfter(text: string | undefined, now: number): number {
  if (text === undefined) return 0
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - now) / 1000
  return Number.isNaN(seconds) ? 0 : seconds
}
