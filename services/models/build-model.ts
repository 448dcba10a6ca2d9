import { mkdirSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Source } from './build-options.ts'
import { builderDigest } from './builder-digest.ts'
import { readManifest, sizeFaults } from './built-model.ts'
import { isGenerated, isOnHub } from './catalogue.ts'
import { CheckpointError } from './checkpoint-error.ts'
import { checkpointDir, readReceipt } from './checkpoint-store.ts'
import { passingName, removeLeftovers } from './model-folder.ts'
import { type Target, targetDir } from './target.ts'

/**
 * `outdated`: whole, but made by other sources of the builder than these. `absent`: not there, not whole, or made from
 * another checkpoint than the one that would be built from now.
 */
type ModelState = 'built' | 'outdated' | 'absent'

/** What the target's folder holds. */
export function modelState(target: Target, modelDir: string, from?: string): ModelState {
  const dir = targetDir(modelDir, target)
  const read = readManifest(dir)
  if ('fault' in read) return 'absent'
  const { manifest } = read
  const { name, entry, precision } = target
  const { kind } = entry
  const wanted = { name, kind, precision }
  const found = { name: manifest.name, kind: manifest.kind, precision: manifest.precision }
  const source = sourceOf(target, modelDir, from)
  if (!isDeepStrictEqual(found, wanted) || sizeFaults(dir, manifest).length) return 'absent'
  // A checkpoint may be removed once it is built.
  if (source && !isDeepStrictEqual(manifest.source, source)) return 'absent'
  return manifest.builder === builderDigest() ? 'built' : 'outdated'
}

/**
 * Builds a target into its folder below `modelDir`, over an older one if there is any: from the checkpoint in the folder
 * `from`, else from the one that was pulled. Throws CheckpointError, also where anything but a model is in its place, and
 * DiskError.
 */
export async function buildModel(target: Target, modelDir: string, from?: string): Promise<void> {
  const { name, model, entry, precision } = target
  const { license } = entry
  const source = sourceOf(target, modelDir, from)
  if (!source) {
    if (!isOnHub(entry)) throw new CheckpointError(`${model} is built from a folder of yours: add --from <folder>`)
    const remedy = `run: npm run models -- pull ${model} --dir ${modelDir}`
    throw new CheckpointError(`${model}: its checkpoint is not in ${checkpointDir(modelDir, model)}; ${remedy}`)
  }
  mkdirSync(modelDir, { recursive: true })
  removeLeftovers(modelDir)
  const outDir = targetDir(modelDir, target)
  const build = async (dir: string) => entry.build({ checkpointDir: dir, outDir, name, source, license, precision })
  if (from || !isGenerated(entry)) return build(from ?? checkpointDir(modelDir, model))
  const dir = join(modelDir, `${passingName(name)}.checkpoint`)
  try {
    mkdirSync(dir)
    entry.checkpoint(dir)
    await build(dir)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Undefined when there is no checkpoint to build from. */
function sourceOf({ model, entry }: Target, modelDir: string, from?: string): Source | undefined {
  if (!from && isGenerated(entry)) return entry.source
  const receipt = readReceipt(from ?? checkpointDir(modelDir, model))
  if (receipt) return { repository: receipt.repository, revision: receipt.revision, generated: false }
  return from ? { repository: `folder ${resolve(from)}`, revision: 'unknown', generated: false } : undefined
}
