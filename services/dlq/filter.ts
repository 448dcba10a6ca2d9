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

const secondsPer = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }

export function createFilter(filter: Filter, now: number): (letter: DeadLetter) => boolean {
  const { id, code, prefix, olderThan, newerThan } = filter
  const text = filter.text?.toLowerCase()
  return ({ id: letterId, body, reason = '', reasonCode = 'none', failedAt, imageKeys }) => {
    const age = now - failedAt.getTime()
    return (
      (!id || id.includes(letterId)) &&
      (!code || code.includes(reasonCode)) &&
      (prefix === undefined || imageKeys.some((key) => key.startsWith(prefix))) &&
      (olderThan === undefined || age > olderThan) &&
      (newerThan === undefined || age < newerThan) &&
      (text === undefined || [body, reason, ...imageKeys].some((each) => each.toLowerCase().includes(text)))
    )
  }
}

/** Milliseconds of 90s, 30m, 2h, 3d or 1w; undefined for anything else. */
export function readDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? []
  return number && unit ? Number(number) * secondsPer[unit as keyof typeof secondsPer] * 1000 : undefined
}

/** In its largest unit. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const [unit, length] = Object.entries(secondsPer).findLast(([, each]) => seconds >= each) ?? ['s', 1]
  return `${Math.floor(seconds / length)}${unit}`
}
