import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { readManifest, sizeFaults } from './built-model.ts'
import { catalogue, type ModelName } from './catalogue.ts'
import { removeLeftovers } from './model-folder.ts'

const precision = 'fp32'

/** Whether `dir` holds the model whole, as the catalogue has it now. */
export function isBuilt(name: ModelName, dir: string): boolean {
  const read = readManifest(dir)
  if ('fault' in read) return false
  const { manifest } = read
  const { kind, source } = catalogue[name]
  const wanted = { name, kind, precision, source }
  const found = { name: manifest.name, kind: manifest.kind, precision: manifest.precision, source: manifest.source }
  return isDeepStrictEqual(found, wanted) && sizeFaults(dir, manifest).length === 0
}

/** Builds a model of the catalogue into its folder below `modelDir`, over an older one if there is any. */
export async function buildModel(name: ModelName, modelDir: string): Promise<void> {
  const { source, license, checkpoint, build } = catalogue[name]
  mkdirSync(modelDir, { recursive: true })
  removeLeftovers(modelDir)
  const checkpointDir = mkdtempSync(join(modelDir, `.${name}.checkpoint.`))
  try {
    checkpoint(checkpointDir)
    await build({ checkpointDir, outDir: join(modelDir, name), name, source, license, precision })
  } finally {
    rmSync(checkpointDir, { recursive: true, force: true })
  }
}
