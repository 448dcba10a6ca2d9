import { existsSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Type, { type Static } from 'typebox'
import { CheckpointError } from './checkpoint-error.ts'
import { readCheckpointJson } from './checkpoint-json.ts'

/** Beside the files of a checkpoint that was pulled whole: where it is from. */
const receiptFile = 'pulled.json'

const Receipt = Type.Object({
  repository: Type.String(),
  /** The commit, whatever was asked for. */
  revision: Type.String(),
  /** A branch, a ref of a pull request, or the commit itself. */
  requested: Type.String(),
  pulledAt: Type.String(),
  files: Type.Record(Type.String(), Type.Object({ bytes: Type.Integer(), digest: Type.String() })),
})
export type Receipt = Static<typeof Receipt>

/** Where the checkpoint of a model is pulled to. */
export function checkpointDir(modelDir: string, name: string): string {
  return join(modelDir, '.checkpoints', name)
}

/** Undefined unless the folder holds a checkpoint whole: a receipt that can be read, and every file of its size. */
export function readReceipt(dir: string): Receipt | undefined {
  const path = join(dir, receiptFile)
  if (!existsSync(path)) return undefined
  let receipt: Receipt
  try {
    receipt = readCheckpointJson(path, Receipt)
  } catch (error) {
    const isUnreadable = (error as { cause?: NodeJS.ErrnoException }).cause?.code !== undefined
    if (error instanceof CheckpointError && !isUnreadable) return undefined
    throw error
  }
  const whole = Object.entries(receipt.files).every(
    ([name, { bytes }]) => statSync(join(dir, name), { throwIfNoEntry: false })?.size === bytes,
  )
  return whole ? receipt : undefined
}

export function writeReceipt(dir: string, receipt: Receipt): void {
  const partial = join(dir, `.${receiptFile}.${process.pid}`)
  writeFileSync(partial, `${JSON.stringify(receipt, null, 2)}\n`)
  renameSync(partial, join(dir, receiptFile))
}

export const isReceipt = (name: string) => name === receiptFile
