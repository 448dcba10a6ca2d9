import { statSync } from 'node:fs'
import { join } from 'node:path'
import { modelState } from './build-model.ts'
import { readManifest } from './built-model.ts'
import { isGenerated, isOnHub, modelNames } from './catalogue.ts'
import { checkpointDir, readReceipt } from './checkpoint-store.ts'
import { formatBytes } from './disk.ts'
import { type Target, targetDir, targetOf } from './target.ts'

/** A line for each model in its usual precision, and for each other precision that is built. */
export function describeModels(modelDir: string): string[] {
  const targets = modelNames.flatMap((model) => {
    const usual = targetOf(model)!
    const others = usual.entry.precisions.slice(1).map((precision) => targetOf(model, precision)!)
    return [usual, ...others.filter((target) => modelState(target, modelDir) !== 'absent')]
  })
  const rows = targets.map((target) => describe(target, modelDir))
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
}

function describe(target: Target, modelDir: string): string[] {
  const { name, entry, precision } = target
  const { kind, license, source } = entry
  const origin = source.generated
    ? `random weights, ${source.revision}`
    : isOnHub(entry)
      ? `${source.repository} at ${source.revision}`
      : source.repository
  return [name, kind, precision, license, ...sizeAndState(target, modelDir), origin]
}

function sizeAndState(target: Target, modelDir: string): [size: string, state: string] {
  const dir = targetDir(modelDir, target)
  const state = modelState(target, modelDir)
  const read = readManifest(dir)
  if (state !== 'absent' && 'manifest' in read) {
    const bytes = Object.keys(read.manifest.files).reduce((sum, file) => sum + statSync(join(dir, file)).size, 0)
    return [formatBytes(bytes), state === 'built' ? 'built' : 'built by an older builder']
  }
  const receipt = readReceipt(checkpointDir(modelDir, target.model))
  if (receipt) {
    const bytes = Object.values(receipt.files).reduce((sum, file) => sum + file.bytes, 0)
    return [formatBytes(bytes), 'pulled, not built']
  }
  if (!isOnHub(target.entry)) return ['-', isGenerated(target.entry) ? 'not built' : 'needs --from']
  return [`${target.entry.gigabytes} GB`, 'not pulled']
}
