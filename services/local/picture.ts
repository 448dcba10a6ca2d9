import { constants } from 'node:fs'
import { access, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, format, join, parse } from 'node:path'
import { UsageError } from '#shared/command-line.ts'
import { uploadsPrefix } from '#shared/contract/key.ts'
import { maxBodyBytes } from './emulator.ts'

/** A file on this machine, the key under which it is uploaded, and where its music goes. */
export interface Picture {
  path: string
  key: string
  /** Tried first; see saveMusic. */
  wavPath: string
}

/**
 * Checks that every picture can be read and its music written, beside it or in `outDir`, which is created. The key is
 * the file's name; a name met before has a number added, in the order given. Throws UsageError.
 */
export async function choosePictures(paths: string[], outDir?: string): Promise<Picture[]> {
  for (const path of paths) await checkPicture(path)
  if (outDir !== undefined) await createFolder(outDir)
  const taken = new Set<string>()
  const pictures: Picture[] = []
  for (const path of paths) {
    const folder = outDir ?? dirname(path)
    await access(folder, constants.W_OK).catch((cause: Error) => {
      throw new UsageError(`${folder}: the music cannot be written there; --out names another folder`, { cause })
    })
    const name = numbered(basename(path)).find((candidate) => !taken.has(candidate))!
    taken.add(name)
    pictures.push({ path, key: uploadsPrefix + name, wavPath: join(folder, `${parse(path).name}.wav`) })
  }
  return pictures
}

/**
 * Writes the music and returns where. A file that is there already is never overwritten: when it holds the same bytes
 * it is the one, else the next of `name-2.wav`, `name-3.wav` is taken.
 */
export async function saveMusic(wavPath: string, wav: Uint8Array): Promise<string> {
  for (const name of numbered(basename(wavPath))) {
    const path = join(dirname(wavPath), name)
    try {
      await writeFile(path, wav, { flag: 'wx' })
      return path
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const found = await stat(path)
    if (found.isFile() && found.size === wav.length && (await readFile(path)).equals(wav)) return path
  }
  throw new Error(`${wavPath}: this name and all its numbered ones are taken`)
}

async function checkPicture(path: string): Promise<void> {
  try {
    const found = await stat(path)
    if (!found.isFile()) throw new UsageError(`${path}: not a file`)
    if (found.size > maxBodyBytes) {
      throw new UsageError(`${path}: ${found.size} bytes; the local object store takes ${maxBodyBytes} at most`)
    }
    await access(path, constants.R_OK)
  } catch (error) {
    if (error instanceof UsageError) throw error
    throw new UsageError(`${path}: ${reasons[(error as NodeJS.ErrnoException).code ?? ''] ?? error}`)
  }
}

const reasons: Record<string, string> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'not readable',
  ENAMETOOLONG: 'no such file, the name is too long',
}

/** Throws UsageError. */
export async function createFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
    throw new UsageError(`${path}: the folder cannot be created (${cause.code})`, { cause })
  })
}

/** `a.jpg`, `a-2.jpg`, `a-3.jpg` and so on. */
function numbered(fileName: string): string[] {
  const { name, ext } = parse(fileName)
  const rest = Array.from({ length: 9_998 }, (_, index) => format({ name: `${name}-${index + 2}`, ext }))
  return [fileName, ...rest]
}
