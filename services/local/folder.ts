import { constants } from 'node:fs'
import { access, mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { UsageError } from '#shared/command-line.ts'
import { fileFault } from '#shared/file-fault.ts'

/** Makes the folder, and those above it, where they are missing. Throws UsageError when it is not one to write in. */
export async function createFolder(path: string): Promise<void> {
  try {
    await makeMissing(path)
  } catch (cause) {
    throw new UsageError(fileFault(path, 'the folder cannot be created', cause), { cause })
  }
  await checkWritable(path)
}

/** Throws UsageError. */
export async function checkWritable(folder: string): Promise<void> {
  await access(folder, constants.W_OK).catch((cause: unknown) => {
    throw new UsageError(fileFault(folder, 'nothing can be written there', cause), { cause })
  })
}

/** Node's own recursive mkdir never ends where a folder that exists takes no new ones and says ENOENT, as /proc does. */
async function makeMissing(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await isFolder(path))) return
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path || (await isFolder(parent))) throw error
    await makeMissing(parent)
    await mkdir(path)
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory()
  } catch {
    return false
  }
}
