import { createHash, type Hash } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { writeWhole } from '../disk.ts'
import { isAlive } from '../process-life.ts'
import type { HubFile } from './repository.ts'

/** A live fetch writes far more often; a process number may be taken anew by another program. */
const abandonedMilliseconds = 60_000

/**
 * A file on its way to `path`: kept beside it under a name with the wanted digest and the process at work, so that
 * another process can go on where a dead one stopped, and two never write the same. Throws while another fetches it.
 */
export async function openPartialFile(path: string, file: HubFile) {
  const own = claim(path, file)
  const descriptor = openSync(own, 'a+')
  let hash: Hash
  let position = 0
  try {
    position = statSync(own).size
    if (position > file.bytes) restart()
    else hash = await hashFile(own, file)
  } catch (error) {
    closeSync(descriptor)
    throw error
  }

  function restart(): void {
    ftruncateSync(descriptor, 0)
    hash = startHash(file)
    position = 0
  }

  return {
    get position() {
      return position
    },
    write(bytes: Uint8Array) {
      if (position + bytes.byteLength > file.bytes) throw new Error(`more than the ${file.bytes} bytes expected`)
      writeWhole(descriptor, own, bytes)
      hash.update(bytes)
      position += bytes.byteLength
    },
    /** Throws all of it away, to be fetched from the beginning. */
    restart,
    digest: () => hash.copy().digest('hex'),
    /** Puts the file at its path, whole. */
    finish() {
      fsyncSync(descriptor)
      renameSync(own, path)
    },
    close: () => closeSync(descriptor),
    remove: () => rmSync(own, { force: true }),
  }
}

/** The digest of a file on the disk, computed as `digest` was. */
export async function digestOf(path: string, file: HubFile): Promise<string> {
  return (await hashFile(path, file)).digest('hex')
}

export const isPartialFile = (name: string) => /\.[0-9a-f]{12}\.partial-\d+$/.test(name)

/** Takes over what a dead process has left, the longest if there are several, under this process's name. */
function claim(path: string, { digest }: HubFile): string {
  const prefix = `${basename(path)}.${digest.hex.slice(0, 12)}.partial-`
  const own = `${dirname(path)}/${prefix}${process.pid}`
  const left = readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix))
    .map((name) => ({ path: join(dirname(path), name), owner: Number(name.slice(prefix.length)) }))
    .flatMap((each) => {
      const found = statSync(each.path, { throwIfNoEntry: false })
      return found ? [{ ...each, bytes: found.size, idle: Date.now() - found.mtimeMs }] : []
    })
    .sort((a, b) => b.bytes - a.bytes)
  for (const { owner, idle } of left) {
    if (owner !== process.pid && idle < abandonedMilliseconds && isAlive(owner)) {
      throw new Error(`${path} is being fetched by process ${owner} already; wait for it, or stop it`)
    }
  }
  for (const [i, each] of left.entries()) {
    if (each.path === own) continue
    if (i > 0) rmSync(each.path, { force: true })
    else rename(each.path, own)
  }
  return own
}

/** What is gone was taken by another process a moment ago. */
function rename(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

function startHash({ digest, bytes }: HubFile): Hash {
  if (digest.algorithm === 'sha256') return createHash('sha256')
  return createHash('sha1').update(`blob ${bytes}\0`)
}

async function hashFile(path: string, file: HubFile): Promise<Hash> {
  const hash = startHash(file)
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) hash.update(chunk)
  return hash
}
