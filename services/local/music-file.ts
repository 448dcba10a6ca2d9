import { randomBytes } from 'node:crypto'
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join, parse } from 'node:path'
import { numberedNames } from './numbered-names.ts'

/** Of a file's name, in the file systems of all systems that matter. */
const maxNameBytes = 255
const longestSuffix = '-9999.wav'

/** Where the music of a picture goes: its name with `.wav`, cut at a whole character where it would be too long. */
export function musicPath(picturePath: string, folder: string): string {
  let name = ''
  let bytes = longestSuffix.length
  for (const { segment } of new Intl.Segmenter().segment(parse(picturePath).name)) {
    bytes += Buffer.byteLength(segment)
    if (bytes > maxNameBytes) break
    name += segment
  }
  return join(folder, `${name}.wav`)
}

/**
 * Writes the music and returns where. A file that is there already is never overwritten: when it holds the same bytes
 * it is the one, else the next of `name-2.wav`, `name-3.wav` is taken. Never leaves a part of it.
 */
export async function saveMusic(path: string, wav: Uint8Array): Promise<string> {
  const folder = dirname(path)
  const part = join(folder, `.promenade-${randomBytes(8).toString('hex')}.part`)
  try {
    await writeFile(part, wav, { flag: 'wx' })
    for (const name of numberedNames(basename(path))) {
      const chosen = join(folder, name)
      if (await takeName(chosen)) {
        await rename(part, chosen)
        return chosen
      }
      if (await holds(chosen, wav)) return chosen
    }
  } finally {
    await rm(part, { force: true })
  }
  throw new Error(`${path}: this name and all its numbered ones are taken`)
}

/** With an empty file, which works where there are no hard links. False when there is something of this name. */
async function takeName(path: string): Promise<boolean> {
  try {
    await writeFile(path, '', { flag: 'wx' })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** What cannot be read is something else. */
async function holds(path: string, bytes: Uint8Array): Promise<boolean> {
  try {
    const found = await stat(path)
    return found.isFile() && found.size === bytes.length && (await readFile(path)).equals(bytes)
  } catch {
    return false
  }
}
