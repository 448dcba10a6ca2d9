export interface Backoff {
  firstSeconds: number
  mostSeconds: number
}

/** For a try that failed: the same soon, then ever later. */
export const failureBackoff: Backoff = { firstSeconds: 5, mostSeconds: 300 }

/**
 * For a database, store or model that is away, in leases: few enough receives that SQS does not dead-letter the message for
 * it.
 */
export function outageBackoff(leaseSeconds: number): Backoff {
  return { firstSeconds: leaseSeconds / 2, mostSeconds: 15 * leaseSeconds }
}

/** Doubles with every try, from 1; somewhere between half of it and all of it, so that many do not return at once. */
export function backoffSeconds(tries: number, { firstSeconds, mostSeconds }: Backoff, random: () => number): number {
  const most = Math.min(mostSeconds, firstSeconds * 2 ** (Math.max(1, tries) - 1))
  return most * (0.5 + 0.5 * random())
}
