import { format, parse } from 'node:path'

const last = 9_999

/** `a.jpg`, `a-2.jpg`, `a-3.jpg` and so on. */
export function numberedNames(fileName: string): string[] {
  const { name, ext } = parse(fileName)
  const rest = Array.from({ length: last - 1 }, (_, index) => format({ name: `${name}-${index + 2}`, ext }))
  return [fileName, ...rest]
}
