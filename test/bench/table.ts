/** A table for people: one line per row under a line of headings, numbers to the right. */
export function formatTable<Row>(rows: readonly Row[], columns: Record<string, (row: Row) => string>): string {
  const lines = [Object.keys(columns), ...rows.map((row) => Object.values(columns).map((cell) => cell(row)))]
  const widths = Object.keys(columns).map((_, i) => Math.max(...lines.map((line) => line[i]!.length)))
  return lines.map((line) => line.map((cell, i) => cell.padStart(widths[i]!)).join('  ')).join('\n')
}
