import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildModel } from '../services/models/build-model.ts'
import { targetOf } from '../services/models/target.ts'

/** What inference with them is started with, one clip at a time. */
export const tinyInference = {
  musicModel: 'tiny-random-musicgen',
  classifierModel: 'tiny-random-clip',
  executionProviders: ['cpu'],
  batchSize: 1,
  batchWaitMs: 0,
  maxGenerationSeconds: 60,
  logger: { info() {}, warn() {}, error() {} },
  env: process.env,
  signal: new AbortController().signal,
}

/** Builds the models that are the settings' defaults, into a new folder where none is given. It is the caller's to remove. */
export async function buildTinyModels(dir?: string): Promise<string> {
  const folder = dir ?? (await mkdtemp(join(tmpdir(), 'promenade-models-')))
  for (const name of ['tiny-random-musicgen', 'tiny-random-clip'] as const) {
    await buildModel(targetOf(name)!, folder)
  }
  return folder
}
