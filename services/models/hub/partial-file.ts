import { createHash, type Hash, randomUUID } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  futimesSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { writeWhole } from '../disk.ts'
import { isAlive } from '../process-life.ts'
import type { HubFile } from './repository.ts'

/** A live fetch touches its file this often, also while the hub is silent. */
const touchMilliseconds = 5_000
/** The processes of another machine cannot be asked, and a process number may be taken anew by another program. */
const abandonedMilliseconds = 30_000

/** The files that this process writes. */
const held = new Set<string>()

/**
 * A file on its way to `path`: kept beside it under a name with the wanted digest and who is at work, so that another
 * can go on where a dead process stopped, and two never write the same. Throws while another fetches it.
 */
export async function openPartialFile(path: string, file: HubFile) {
  const own = claim(path, file)
  const descriptor = openSync(own, 'a+')
  held.add(own)
  const touching = setInterval(() => futimesSync(descriptor, new Date(), new Date()), touchMilliseconds)
  let hash: Hash
  let position = 0
  try {
    position = statSync(own).size
    if (position > file.bytes) restart()
    else hash = await hashFile(own, file)
  } catch (error) {
    close()
    throw error
  }

  function close(): void {
    clearInterval(touching)
    held.delete(own)
    closeSync(descriptor)
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
      const [found, written] = [statSync(own, { throwIfNoEntry: false }), fstatSync(descriptor)]
      if (found?.ino !== written.ino || written.size !== file.bytes) {
        throw new Error(
          `${own} was changed by another process while it was fetched; the same command goes on from here`,
        )
      }
      renameSync(own, path)
    },
    close,
    remove: () => rmSync(own, { force: true }),
  }
}

/** The digest of a file on the disk, computed as `digest` was. */
export async function digestOf(path: string, file: HubFile): Promise<string> {
  return (await hashFile(path, file)).digest('hex')
}

export const isPartialFile = (name: string) => /\.[0-9a-f]{12}\.partial-[^/]+$/.test(name)

/** Takes over what a dead process has left, the longest if there are several, under a name of its own. */
function claim(path: string, { digest }: HubFile): string {
  const prefix = `${basename(path)}.${digest.hex.slice(0, 12)}.partial-`
  const left = readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix))
    .map((name) => ({ path: join(dirname(path), name), owner: name.slice(prefix.length) }))
    .flatMap((each) => {
      const found = statSync(each.path, { throwIfNoEntry: false })
      return found ? [{ ...each, bytes: found.size, idle: Date.now() - found.mtimeMs }] : []
    })
    .sort((a, b) => b.bytes - a.bytes)
  for (const each of left) {
    if (!isWritten(each)) continue
    const who = each.owner.replace(/-[0-9a-f]{8}$/, '')
    throw new Error(`${path} is being fetched by ${who} already; wait for it, or stop it`)
  }
  const own = join(dirname(path), `${prefix}${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`)
  for (const [i, each] of left.entries()) {
    if (i > 0) rmSync(each.path, { force: true })
    else rename(each.path, own)
  }
  return own
}

/** Whether somebody is at work on it. Owners are named machine-process-number. */
function isWritten({ path, owner, idle }: { path: string; owner: string; idle: number }): boolean {
  if (held.has(path)) return true
  if (idle > abandonedMilliseconds) return false
  const [, machine, pid] = /^(.+)-(\d+)-[0-9a-f]{8}$/.exec(owner) ?? []
  return machine !== hostname() || (Number(pid) !== process.pid && isAlive(Number(pid)))
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
