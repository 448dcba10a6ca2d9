const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' })
const twoColumns =
  /[\p{sc=Hangul}\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6\p{Emoji_Presentation}]|\ufe0f/u
const noColumn = /^[\p{M}\p{Cf}]+$/u

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
