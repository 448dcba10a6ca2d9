import type { DeadLetter } from '#shared/dead-letters/dead-letter.ts'
import { printable } from '#shared/printable.ts'
import { formatDuration } from './duration.ts'

const maxKeyColumns = 48
const maxCodeColumns = 24
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
const twoColumns =
  /[\p{sc=Hangul}\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6\p{Emoji_Presentation}]|\ufe0f/u
const noColumn = /^[\p{M}\p{Cf}]+$/u

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

/** Columns that a terminal gives the text: two for a wide character or an emoji. */
export function columnsOf(text: string): number {
  let columns = 0
  for (const { segment } of graphemes.segment(text)) columns += columnsOfGrapheme(segment)
  return columns
}

/** Ends with an ellipsis where something is missing. */
export function cut(text: string, maxColumns: number): string {
  let columns = 0
  let kept = ''
  let besideEllipsis = ''
  // The text may be of any length: only what can fit is looked at.
  for (const { segment } of graphemes.segment(text.slice(0, maxColumns * 16))) {
    columns += columnsOfGrapheme(segment)
    if (columns > maxColumns) return `${besideEllipsis}…`
    kept += segment
    if (columns < maxColumns) besideEllipsis = kept
  }
  return kept
}

function columnsOfGrapheme(grapheme: string): number {
  return noColumn.test(grapheme) ? 0 : twoColumns.test(grapheme) ? 2 : 1
}
