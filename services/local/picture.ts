import { constants } from 'node:fs'
import { access, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { UsageError } from '#shared/command-line.ts'
import { uploadsPrefix } from '#shared/contract/key.ts'
import { printable } from '#shared/printable.ts'
import { maxBodyBytes } from './emulator.ts'
import { fileFault } from './file-fault.ts'
import { checkWritable, createFolder } from './folder.ts'
import { musicPath } from './music-file.ts'
import { numberedNames } from './numbered-names.ts'

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
    if (outDir === undefined) await checkWritable(folder)
    const name = numberedNames(basename(path)).find((candidate) => !taken.has(candidate))!
    taken.add(name)
    pictures.push({ path, key: uploadsPrefix + name, wavPath: musicPath(path, folder) })
  }
  return pictures
}

async function checkPicture(path: string): Promise<void> {
  const found = await stat(path).catch(unreadable)
  if (!found.isFile()) throw new UsageError(`${printable(path)}: not a file`)
  if (found.size > maxBodyBytes) {
    throw new UsageError(
      `${printable(path)}: ${found.size} bytes; the local object store takes ${maxBodyBytes} at most`,
    )
  }
  await access(path, constants.R_OK).catch(unreadable)

  function unreadable(cause: unknown): never {
    throw new UsageError(fileFault(path, 'the picture cannot be read', cause), { cause })
  }
}
