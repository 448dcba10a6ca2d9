import { createHash } from 'node:crypto'
import { createReadStream, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Static } from 'typebox'
import Value from 'typebox/value'
import { ClassifierManifest, MusicManifest, manifestFile } from '#shared/model/manifest.ts'
import { graphFaults } from './graph-faults.ts'

type Manifest = Static<typeof MusicManifest> | Static<typeof ClassifierManifest>

/** The manifest in a model's folder, or what is wrong with it. */
export function readManifest(dir: string): { manifest: Manifest } | { fault: string } {
  const path = join(dir, manifestFile)
  let json: unknown
  try {
    json = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { fault: `${path} is missing` }
    return { fault: `${path} cannot be read: ${(error as Error).message}` }
  }
  const schema = (json as Manifest | null)?.kind === 'classifier' ? ClassifierManifest : MusicManifest
  if (Value.Check(schema, json)) return { manifest: json }
  const [error] = Value.Errors(schema, json)
  return { fault: `${path}: ${error?.instancePath || 'the file'} ${error?.message}` }
}

/** Files that are missing or not of the size that the manifest says. */
export function sizeFaults(dir: string, { files }: Manifest): string[] {
  return Object.entries(files).flatMap(([name, { bytes }]) => {
    const path = join(dir, name)
    const found = statSync(path, { throwIfNoEntry: false })?.size
    return found === bytes ? [] : [`${path} has ${found ?? 'no'} bytes, expected ${bytes}`]
  })
}

/**
 * Everything that is wrong with a built model: its manifest, then sizes and files that do not belong to it, then digests,
 * then its graphs.
 */
export async function modelFaults(dir: string): Promise<string[]> {
  const read = readManifest(dir)
  if ('fault' in read) return [read.fault]
  const { files } = read.manifest
  const faults = sizeFaults(dir, read.manifest)
  for (const name of readdirSync(dir)) {
    if (name !== manifestFile && !files[name]) faults.push(`${join(dir, name)} is not in the manifest`)
  }
  if (faults.length) return faults
  for (const [name, { sha256 }] of Object.entries(files)) {
    const hash = createHash('sha256')
    await pipeline(createReadStream(join(dir, name), { highWaterMark: 2 ** 20 }), hash)
    const found = hash.digest('hex')
    if (found !== sha256) faults.push(`${join(dir, name)} has SHA-256 ${found}, expected ${sha256}`)
  }
  return faults.length ? faults : graphFaults(dir, read.manifest)
}
