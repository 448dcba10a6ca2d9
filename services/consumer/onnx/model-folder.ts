import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Static } from 'typebox'
import Value from 'typebox/value'
import { type ClassifierManifest, type MusicManifest, manifestFile, modelFormat } from '#shared/model/manifest.ts'

/**
 * The manifest of a built model, once every file it names is there with its size. (Digests are checked by the build
 * and by `npm run models -- verify`, not at every start.) Throws one line that names the commands to run.
 */
export async function readModel<S extends typeof MusicManifest | typeof ClassifierManifest>(
  modelDir: string,
  name: string,
  schema: S,
): Promise<Static<S>> {
  const folder = join(modelDir, name)
  const run = (command: string) => `npm run models -- ${command} ${name} --dir ${modelDir}`
  const remedy = `run: ${run('pull')} && ${run('build')}`
  const text = await readFile(join(folder, manifestFile), 'utf8').catch((cause) => {
    throw new Error(`model ${name} is not in ${modelDir}; ${remedy}`, { cause })
  })
  const manifest = parseManifest(text)
  if (manifest?.format !== modelFormat) {
    throw new Error(`model ${name} has format ${manifest?.format}, expected ${modelFormat}; ${remedy}`)
  }
  if (!Value.Check(schema, manifest)) {
    const [error] = Value.Errors(schema, manifest)
    throw new Error(`${join(folder, manifestFile)}: ${error?.instancePath} ${error?.message}; ${remedy}`)
  }
  for (const [file, { bytes }] of Object.entries(manifest.files)) {
    const size = await stat(join(folder, file)).then(
      (found) => found.size,
      () => undefined,
    )
    if (size !== bytes) {
      throw new Error(`model ${name}: ${file} has ${size ?? 'no'} bytes, expected ${bytes}; ${remedy}`)
    }
  }
  return manifest
}

function parseManifest(text: string): { format?: unknown } | undefined {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
