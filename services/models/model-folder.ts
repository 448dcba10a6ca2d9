import { createHash, randomUUID } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { manifestFile } from '#shared/model/manifest.ts'
import { builderDigest } from './builder-digest.ts'
import { CheckpointError } from './checkpoint-error.ts'
import { writeWhole } from './disk.ts'
import { isAlive } from './process-life.ts'

/** All that builders have ever written. */
const modelFiles = /^(manifest|tokenizer)\.json$|\.onnx(\.data)?$/

export interface OutputFile {
  /** Bytes written so far. */
  readonly position: number
  write(bytes: Uint8Array): void
  /** Flushes the file to the disk and enters its size and digest in the folder's list. */
  close(): void
}

export interface ModelFolder {
  create(name: string): OutputFile
  /** Every file closed so far, as the manifest lists them. */
  readonly files: Record<string, { bytes: number; sha256: string }>
}

/**
 * Makes the folder of a model whole or not at all: `fill` writes the files and returns the manifest, all in a folder
 * beside `path` that takes its place at the end. Of two that build the same model at once, the last one stays. Throws
 * CheckpointError where anything but a model is there.
 */
export function writeModelFolder(path: string, fill: (folder: ModelFolder) => object): void {
  requireModelsPlace(path)
  const parent = dirname(path)
  const unique = passingName(basename(path))
  const partial = join(parent, `${unique}.partial`)
  mkdirSync(partial, { recursive: true })
  try {
    const folder = openFolder(partial)
    const manifest = folder.create(manifestFile)
    manifest.write(Buffer.from(`${JSON.stringify({ ...fill(folder), builder: builderDigest() }, null, 2)}\n`))
    manifest.close()
    syncFolder(partial)
    replace(path, partial, join(parent, `${unique}.replaced`))
    syncFolder(parent)
  } finally {
    rmSync(partial, { recursive: true, force: true })
  }
}

/** Tells `removeLeftovers` whose it is. */
export function passingName(name: string): string {
  return `.${name}.${hostname()}-${process.pid}.${randomUUID()}`
}

function openFolder(path: string): ModelFolder {
  const files: ModelFolder['files'] = {}
  const create = (name: string): OutputFile => {
    const file = join(path, name)
    const descriptor = openSync(file, 'wx')
    const hash = createHash('sha256')
    let position = 0
    return {
      get position() {
        return position
      },
      write(bytes) {
        writeWhole(descriptor, file, bytes)
        hash.update(bytes)
        position += bytes.byteLength
      },
      close() {
        fsyncSync(descriptor)
        closeSync(descriptor)
        files[name] = { bytes: position, sha256: hash.digest('hex') }
      },
    }
  }
  return { create, files }
}

/** Puts `fresh` at `path`. A folder cannot be renamed onto a full one, so an older model is set aside first. */
function replace(path: string, fresh: string, aside: string): void {
  for (let attempts = 10; ; attempts--) {
    try {
      renameSync(fresh, path)
      break
    } catch (error) {
      if (attempts === 0 || !existsSync(path)) throw error
      requireModelsPlace(path)
      setAside(path, aside)
    }
  }
  rmSync(aside, { recursive: true, force: true })
}

/** A model that is not whole may be built again, but nobody else's files are taken away. */
function requireModelsPlace(path: string): void {
  const foreign = namesIn(path).find((name) => !modelFiles.test(name))
  if (foreign === undefined) return
  const remedy = 'Move it away, or name another folder with --dir.'
  throw new CheckpointError(`${path}: expected a model or nothing, found ${foreign}. ${remedy}`)
}

/** A file counts as a folder of itself. */
function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    if (code === 'ENOTDIR') return ['a file']
    throw error
  }
}

/** The folder may be gone by now, when another builder was faster. */
function setAside(path: string, aside: string): void {
  rmSync(aside, { recursive: true, force: true })
  try {
    renameSync(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

const leftoverAgeMilliseconds = 24 * 60 * 60 * 1000

/**
 * Removes what builds that were killed have left in the folder of the models: at once when the process was one of this
 * machine's, else once it is a day old.
 */
export function removeLeftovers(modelDir: string): void {
  for (const name of readdirSync(modelDir)) {
    if (!/^\..+\.(partial|replaced|checkpoint)$/.test(name)) continue
    const path = join(modelDir, name)
    const [, pid] = /-(\d+)\.[0-9a-f-]{36}\.\w+$/.exec(name) ?? []
    if (pid && name.includes(`.${hostname()}-${pid}.`) && !isAlive(Number(pid))) {
      rmSync(path, { recursive: true, force: true })
      continue
    }
    const changed = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY
    if (Date.now() - changed > leftoverAgeMilliseconds) rmSync(path, { recursive: true, force: true })
  }
}

function syncFolder(path: string): void {
  const descriptor = openSync(path, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}
