import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildModel } from '../services/models/build-model.ts'

/** Builds the models that are the settings' defaults into a new folder, which is the caller's to remove. */
export async function buildTinyModels(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'promenade-models-'))
  for (const name of ['tiny-random-musicgen', 'tiny-random-clip'] as const) {
    await buildModel(name, folder)
  }
  return folder
}
