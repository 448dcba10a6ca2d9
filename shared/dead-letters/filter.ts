import type { DeadLetter } from './dead-letter.ts'

/** All that is given must hold. */
export interface Filter {
  id?: string[] | undefined
  /** `none`: those that SQS itself has dead-lettered. */
  code?: string[] | undefined
  prefix?: string | undefined
  /** Milliseconds since the failure. */
  olderThan?: number | undefined
  newerThan?: number | undefined
  text?: string | undefined
}

export function createFilter(filter: Filter, now: number): (letter: DeadLetter) => boolean {
  const { code, prefix, olderThan, newerThan } = filter
  const ids = filter.id && new Set(filter.id)
  const text = filter.text?.toLowerCase()
  return ({ id: letterId, body, reason = '', reasonCode = 'none', failedAt, imageKeys }) => {
    const age = now - failedAt.getTime()
    return (
      (!ids || ids.has(letterId)) &&
      (!code || code.includes(reasonCode)) &&
      (prefix === undefined || imageKeys.some((key) => key.startsWith(prefix))) &&
      (olderThan === undefined || age > olderThan) &&
      (newerThan === undefined || age < newerThan) &&
      (text === undefined || [body, reason, ...imageKeys].some((each) => each.toLowerCase().includes(text)))
    )
  }
}
