import type { DeadLetter } from '#shared/dead-letters/dead-letter.ts'
import { printable } from '#shared/printable.ts'
import { formatDuration } from './duration.ts'
import { escapeControls } from './json-line.ts'
import { formatTime } from './table.ts'

/** Times that a body may become longer when it is laid out. */
const maxGrowth = 10

/** Everything about one message, for people. Nothing of it reaches the terminal that could act there. */
export function describeLetter(letter: DeadLetter, now: number): string {
  const { id, reasonCode = '-', reason = '-', imageKeys, failedAt, attempts = '-', replays, attributes, body } = letter
  const fields = {
    'message id': id,
    'reason code': reasonCode,
    reason,
    ...Object.fromEntries(imageKeys.map((key, index) => [`image key${index ? ` ${index + 1}` : ''}`, key])),
    'failed at': `${formatTime(failedAt)}, ${formatDuration(now - failedAt.getTime())} ago`,
    attempts,
    replays,
    ...Object.fromEntries(
      Object.entries(attributes).map(([name, { StringValue, BinaryValue }]) => [
        `attribute ${name}`,
        StringValue ?? `${BinaryValue?.length ?? 0} bytes`,
      ]),
    ),
    ...Object.fromEntries(
      Object.entries(letter.systemAttributes).map(([name, value]) => [`system attribute ${name}`, value]),
    ),
  }
  const width = Math.max(...Object.keys(fields).map(({ length }) => length))
  const lines = Object.entries(fields).map(([name, value]) => `${name.padEnd(width)}  ${value}`)
  return [...lines, '', ...formatBody(body).split('\n')].map(printable).join('\n')
}

/** Laid out where it is JSON, but for what is nested so deeply that it would be all indentation. */
export function formatBody(body: string): string {
  try {
    const laidOut = JSON.stringify(JSON.parse(body), undefined, 2)
    return laidOut.length > maxGrowth * body.length ? body : escapeControls(laidOut)
  } catch {
    return body
  }
}
