import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs'
import { basename, join } from 'node:path'
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'
import { CheckpointError } from './checkpoint-error.ts'
import { readCheckpointJson } from './checkpoint-json.ts'
import { writeWhole } from './disk.ts'

/** The format's own bound on its header. */
const maxHeaderBytes = 100_000_000
const bytesPerElement: Record<string, number> = { F32: 4, F16: 2, BF16: 2 }

const size = Type.Integer({ minimum: 0 })
const Entry = Type.Object({ dtype: Type.String(), shape: Type.Array(size), data_offsets: Type.Tuple([size, size]) })
type Entry = Static<typeof Entry>
const Header = Type.Record(Type.String(), Type.Unknown())
const ShardIndex = Type.Object({ weight_map: Type.Record(Type.String(), Type.String()) })

export interface Checkpoint {
  readonly names: string[]
  /** Undefined when there is no such tensor. */
  dims(name: string): number[] | undefined
  /** One tensor from the disk as float32. Throws CheckpointError when it is missing, of other dimensions or not finite. */
  read(name: string, dims: number[]): Float32Array
  close(): void
}

/** Opens the weights of a Hugging Face checkpoint: `model.safetensors`, or the shards its index lists. */
export function openCheckpoint(dir: string): Checkpoint {
  const single = join(dir, 'model.safetensors')
  const index = join(dir, 'model.safetensors.index.json')
  const shards = existsSync(single) ? [single] : existsSync(index) ? readShardNames(index, dir) : undefined
  if (!shards) {
    const found = existsSync(dir) ? readdirSync(dir).join(', ') || 'nothing' : 'no such folder'
    throw new CheckpointError(
      `${dir}: expected model.safetensors or model.safetensors.index.json, found ${found}. ` +
        'A checkpoint in pytorch_model.bin must be converted to safetensors first.',
    )
  }
  const files: SafetensorsFile[] = []
  const close = () => {
    for (const file of files) file.close()
  }
  try {
    for (const shard of shards) files.push(openFile(shard))
  } catch (error) {
    close()
    throw error
  }
  const fileOf = new Map(files.flatMap((file) => Object.keys(file.entries).map((name) => [name, file])))
  const dims = (name: string) => fileOf.get(name)?.entries[name]?.shape
  return {
    names: [...fileOf.keys()],
    dims,
    read(name, expected) {
      const found = dims(name)
      if (!found) throw new CheckpointError(`${dir}: tensor ${name} is missing, expected [${expected}]`)
      if (found.join() !== expected.join()) {
        throw new CheckpointError(`${dir}: tensor ${name} is [${found}], expected [${expected}]`)
      }
      return fileOf.get(name)!.read(name)
    },
    close,
  }
}

type SafetensorsFile = ReturnType<typeof openFile>

function openFile(path: string) {
  const descriptor = openSync(path, 'r')
  try {
    const { entries, dataOffset } = readHeader(descriptor, path)
    return {
      entries,
      read(name: string): Float32Array {
        const { dtype, data_offsets } = entries[name]!
        const [begin, end] = data_offsets
        if (!bytesPerElement[dtype]) {
          throw new CheckpointError(`${path}: tensor ${name} is ${dtype}, expected F32, F16 or BF16`)
        }
        const values = toFloat32(readAt(descriptor, path, dataOffset + begin, end - begin), dtype)
        const odd = values.findIndex((value) => !Number.isFinite(value))
        if (odd !== -1) {
          throw new CheckpointError(`${path}: tensor ${name} has ${values[odd]} at ${odd}, expected finite numbers`)
        }
        return values
      },
      close: () => closeSync(descriptor),
    }
  } catch (error) {
    closeSync(descriptor)
    throw error
  }
}

function readHeader(descriptor: number, path: string) {
  const fileBytes = fstatSync(descriptor).size
  if (fileBytes < 8) throw new CheckpointError(`${path}: ${fileBytes} bytes are too few for a safetensors file`)
  const headerBytes = Number(readAt(descriptor, path, 0, 8).readBigUInt64LE())
  if (headerBytes > Math.min(maxHeaderBytes, fileBytes - 8)) {
    throw new CheckpointError(`${path}: not a safetensors file, or cut off: its header would have ${headerBytes} bytes`)
  }
  const header = parseHeader(readAt(descriptor, path, 8, headerBytes).toString(), path)
  const dataOffset = 8 + headerBytes
  const entries: Record<string, Entry> = {}
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    if (!Value.Check(Entry, entry)) {
      throw new CheckpointError(`${path}: tensor ${name} needs dtype, shape and data_offsets in the header`)
    }
    const [begin, end] = entry.data_offsets
    const elementBytes = bytesPerElement[entry.dtype]
    if (elementBytes && end - begin !== elementCount(entry.shape) * elementBytes) {
      throw new CheckpointError(`${path}: tensor ${name} has ${end - begin} bytes for ${entry.dtype} [${entry.shape}]`)
    }
    if (dataOffset + end > fileBytes) {
      throw new CheckpointError(
        `${path}: cut off: tensor ${name} ends at byte ${dataOffset + end} of ${fileBytes}. Fetch the file again.`,
      )
    }
    entries[name] = entry
  }
  return { entries, dataOffset }
}

function parseHeader(text: string, path: string): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(text)
  } catch (cause) {
    throw new CheckpointError(`${path}: the safetensors header is not JSON`, { cause })
  }
  if (Value.Check(Header, header)) return header
  throw new CheckpointError(`${path}: the safetensors header is not an object of tensors`)
}

function readShardNames(path: string, dir: string): string[] {
  const index = readCheckpointJson(path, ShardIndex)
  const names = [...new Set(Object.values(index.weight_map))]
  for (const name of names) {
    if (name !== basename(name)) throw new CheckpointError(`${path}: shard ${name} must be a file beside the index`)
    if (!existsSync(join(dir, name))) throw new CheckpointError(`${path}: shard ${name} is missing`)
  }
  return names.map((name) => join(dir, name))
}

function readAt(descriptor: number, path: string, offset: number, length: number): Buffer<ArrayBuffer> {
  const bytes = Buffer.from(new ArrayBuffer(length))
  for (let done = 0; done < length; ) {
    const count = readSync(descriptor, bytes, done, Math.min(length - done, 2 ** 30), offset + done)
    if (count === 0) throw new CheckpointError(`${path}: cut off at byte ${offset + done}. Fetch the file again.`)
    done += count
  }
  return bytes
}

function toFloat32(bytes: Buffer<ArrayBuffer>, dtype: string): Float32Array {
  if (dtype === 'F32') return new Float32Array(bytes.buffer)
  if (dtype === 'F16') return new Float32Array(new Float16Array(bytes.buffer))
  // BF16: the upper half of a float32.
  const halves = new Uint16Array(bytes.buffer)
  const bits = new Uint32Array(halves.length)
  for (let i = 0; i < bits.length; i++) bits[i] = halves[i]! << 16
  return new Float32Array(bits.buffer)
}

export interface Tensor {
  name: string
  dims: number[]
  data: Float32Array
}

/** Writes float32 tensors as one safetensors file. The data of each is read once, when its turn comes. */
export function writeSafetensors(path: string, tensors: Tensor[]): void {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let offset = 0
  for (const { name, dims } of tensors) {
    const end = offset + 4 * elementCount(dims)
    header[name] = { dtype: 'F32', shape: dims, data_offsets: [offset, end] }
    offset = end
  }
  const json = Buffer.from(JSON.stringify(header))
  // Padded with spaces, so that the data begins on a multiple of 8.
  const padded = Buffer.concat([json, Buffer.alloc((8 - (json.length % 8)) % 8, ' ')])
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  const descriptor = openSync(path, 'w')
  const write = (part: Uint8Array) => writeWhole(descriptor, path, part)
  try {
    write(length)
    write(padded)
    for (const { name, dims, data } of tensors) {
      if (data.length !== elementCount(dims)) throw new RangeError(`${name}: ${data.length} elements for [${dims}]`)
      write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    }
  } finally {
    closeSync(descriptor)
  }
}

function elementCount(dims: number[]): number {
  return dims.reduce((product, dim) => product * dim, 1)
}
