import { constants, copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { CheckpointError } from './checkpoint-error.ts'
import { neededFiles } from './checkpoint-files.ts'
import { isReceipt, type Receipt, readReceipt, writeReceipt } from './checkpoint-store.ts'
import { requireSpace } from './disk.ts'
import { openCheckpoint } from './safetensors.ts'

/** Copies the checkpoint in the folder `from` to where a pull would put it. Throws CheckpointError, DiskError. */
export function copyCheckpoint(from: string, dir: string, required: readonly string[]): Receipt {
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
    const partial = join(dir, `.${name}.${process.pid}`)
    try {
      copyFileSync(join(from, name), partial, constants.COPYFILE_FICLONE)
      renameSync(partial, join(dir, name))
    } finally {
      rmSync(partial, { force: true })
    }
  }
  for (const name of readdirSync(dir)) {
    if (!names.includes(name)) rmSync(join(dir, name), { recursive: true, force: true })
  }
  writeReceipt(dir, receipt)
  return receipt
}
