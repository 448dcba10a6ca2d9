import { createHash } from 'node:crypto'
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

let digest: string | undefined

/** SHA-256 of every source that a graph depends on: the builder's, and what it agrees on with the runner. */
export function builderDigest(): string {
  if (digest) return digest
  const sources = globSync(['services/models/**/*.{ts,json,proto}', 'shared/model/**/*.ts'], { cwd: root })
  const hash = createHash('sha256')
  for (const name of sources.filter((name) => !name.startsWith('services/models/hub/')).sort()) {
    hash
      .update(`${name}\0`)
      .update(readFileSync(`${root}${name}`))
      .update('\0')
  }
  digest = hash.digest('hex')
  return digest
}
