import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildModel } from '../services/models/build-model.ts'
import { targetOf } from '../services/models/target.ts'

/** Builds the models that are the settings' defaults, into a new folder where none is given. It is the caller's to remove. */
export async function buildTinyModels(dir?: string): Promise<string> {
  const folder = dir ?? (await mkdtemp(join(tmpdir(), 'promenade-models-')))
  for (const name of ['tiny-random-musicgen', 'tiny-random-clip'] as const) {
    await buildModel(targetOf(name)!, folder)
  }
  return folder
}
