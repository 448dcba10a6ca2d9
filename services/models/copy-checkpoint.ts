import {
  constants,
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { copyFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { CheckpointError } from './checkpoint-error.ts'
import { neededFiles } from './checkpoint-files.ts'
import { isReceipt, type Receipt, readReceipt, writeReceipt } from './checkpoint-store.ts'
import { requireSpace } from './disk.ts'
import { openCheckpoint } from './safetensors.ts'

/**
 * Copies the checkpoint in the folder `from` to where a pull would put it. Throws CheckpointError, DiskError, or
 * `signal.reason` when aborted.
 */
export async function copyCheckpoint(
  from: string,
  dir: string,
  { required, signal }: { required: readonly string[]; signal: AbortSignal },
): Promise<void> {
  // Says what is wrong with the weights, if anything is.
  openCheckpoint(from).close()
  const names = neededFiles(readdirSync(from), required, from)
  if (!names) throw new CheckpointError(`${from}: expected model.safetensors`)
  const files = names.map((name) => ({ name, bytes: statSync(join(from, name)).size }))
  if (existsSync(dir) && resolve(from) === resolve(dir)) throw new CheckpointError(`${from}: is where it would go`)
  mkdirSync(dir, { recursive: true })
  requireSpace(
    dir,
    files.reduce((sum, { bytes }) => sum + bytes, 0),
  )
  const known = readReceipt(from)
  const receipt: Receipt = {
    repository: known?.repository ?? `folder ${resolve(from)}`,
    revision: known?.revision ?? 'unknown',
    requested: known?.requested ?? 'unknown',
    pulledAt: new Date().toISOString(),
    files: Object.fromEntries(
      files.map(({ name, bytes }) => [name, { bytes, digest: known?.files[name]?.digest ?? 'unknown' }]),
    ),
  }
  for (const name of readdirSync(dir).filter(isReceipt)) rmSync(join(dir, name))
  for (const { name } of files) {
    signal.throwIfAborted()
    const partial = join(dir, `.${name}.${process.pid}`)
    try {
      await copy(join(from, name), partial, signal)
      renameSync(partial, join(dir, name))
    } finally {
      rmSync(partial, { force: true })
    }
  }
  for (const name of readdirSync(dir)) {
    if (!names.includes(name)) rmSync(join(dir, name), { recursive: true, force: true })
  }
  writeReceipt(dir, receipt)
}

/** At once where the disk can share what is the same. */
async function copy(from: string, to: string, signal: AbortSignal): Promise<void> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE)
  } catch {
    await pipeline(createReadStream(from, { highWaterMark: 2 ** 20 }), createWriteStream(to), { signal }).catch(
      (error) => {
        throw signal.aborted ? signal.reason : error
      },
    )
  }
}
