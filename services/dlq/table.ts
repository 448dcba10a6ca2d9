import { printable } from '#shared/printable.ts'
import { columnsOf, cut } from './columns.ts'
import type { DeadLetter } from './dead-letter.ts'
import { formatDuration } from './filter.ts'

const maxKeyColumns = 48
const maxCodeColumns = 24

/** For people: a line of headings, then one per message. */
export function formatTable(letters: readonly DeadLetter[], now: number): string {
  const rows = letters.map(({ id, reasonCode = '-', imageKeys, failedAt, attempts = '-', replays }) => [
    id,
    reasonCode,
    describeKeys(imageKeys),
    formatTime(failedAt),
    String(attempts),
    formatDuration(now - failedAt.getTime()),
    String(replays),
  ])
  const head = ['message id', 'reason code', 'image key', 'failed at', 'attempts', 'age', 'replays']
  const lines = [head, ...rows].map(([id, code, key, ...others]) => [
    cut(printable(id!), maxKeyColumns),
    cut(printable(code!), maxCodeColumns),
    cut(printable(key!), maxKeyColumns),
    ...others,
  ])
  const widths = head.map((_, column) => Math.max(...lines.map((line) => columnsOf(line[column]!))))
  const isNumber = (column: number) => column >= 4
  return lines
    .map((line) =>
      line
        .map((cell, column) => {
          const space = ' '.repeat(widths[column]! - columnsOf(cell))
          return isNumber(column) ? space + cell : cell + space
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** UTC, to the second. */
export function formatTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z')
}

export function describeKeys([first, ...others]: readonly string[]): string {
  return first === undefined ? '-' : others.length ? `${first} (+${others.length})` : first
}
