export interface Backoff {
  firstSeconds: number
  mostSeconds: number
}

/** For a try that failed: the same soon, then ever later. */
export const failureBackoff: Backoff = { firstSeconds: 5, mostSeconds: 300 }

/** A message that is hidden for so long comes to some 800 receives at most in the 4 days that the queue keeps it. */
export const mostOutageSeconds = 900

/** For a database, store or model that is away: few enough receives that SQS, after 1,000, never dead-letters for it. */
export function outageBackoff(leaseSeconds: number): Backoff {
  return { firstSeconds: leaseSeconds / 2, mostSeconds: mostOutageSeconds }
}

/** Doubles with every try, from 1; somewhere between half of it and all of it, so that many do not return at once. */
export function backoffSeconds(tries: number, { firstSeconds, mostSeconds }: Backoff, random: () => number): number {
  const most = Math.min(mostSeconds, firstSeconds * 2 ** (Math.max(1, tries) - 1))
  return most * (0.5 + 0.5 * random())
}
