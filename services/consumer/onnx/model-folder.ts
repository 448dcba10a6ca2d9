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
  const path = join(folder, manifestFile)
  let manifest: unknown
  try {
    manifest = JSON.parse(await readFile(path, 'utf8'))
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException
    const fault = code === 'ENOENT' ? `model ${name} is not in ${modelDir}` : `${path} cannot be read: ${message}`
    throw new Error(`${fault}; ${remedy}`, { cause })
  }
  const format = (manifest as { format?: unknown } | null)?.format
  if (format !== modelFormat) {
    throw new Error(`model ${name} has format ${format}, expected ${modelFormat}; ${remedy}`)
  }
  if (!Value.Check(schema, manifest)) {
    const [error] = Value.Errors(schema, manifest)
    throw new Error(`${path}: ${error?.instancePath} ${error?.message}; ${remedy}`)
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
