import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { CheckpointError } from '../../../services/models/checkpoint-error.ts'
import { openCheckpoint, writeSafetensors } from '../../../services/models/safetensors.ts'

const root = mkdtempSync(join(tmpdir(), 'safetensors-'))
after(() => rmSync(root, { recursive: true }))

const tensors = [
  { name: 'a', dims: [2, 2], data: Float32Array.of(1, -2, 3.5, 4) },
  { name: 'b', dims: [3], data: Float32Array.of(5, 6, 7) },
]

function folder(name: string): string {
  const dir = join(root, name)
  mkdirSync(dir)
  return dir
}

function writeRaw(name: string, header: string, data: Uint8Array, declaredBytes = header.length): string {
  const dir = folder(name)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(declaredBytes))
  writeFileSync(join(dir, 'model.safetensors'), Buffer.concat([length, Buffer.from(header), data]))
  return dir
}

function rejects(dir: string, message: RegExp): void {
  assert.throws(
    () => openCheckpoint(dir),
    (error) => error instanceof CheckpointError && message.test(error.message),
  )
}

describe('safetensors', () => {
  it('reads what it wrote', () => {
    const dir = folder('plain')
    writeSafetensors(join(dir, 'model.safetensors'), tensors)
    const checkpoint = openCheckpoint(dir)
    assert.deepEqual(checkpoint.names, ['a', 'b'])
    assert.deepEqual(checkpoint.dims('a'), [2, 2])
    assert.equal(checkpoint.dims('c'), undefined)
    assert.deepEqual(checkpoint.read('a', [2, 2]), tensors[0]!.data)
    assert.deepEqual(checkpoint.read('b', [3]), tensors[1]!.data)
    checkpoint.close()
  })

  it('names the tensor, the expected and the found dimensions', () => {
    const dir = folder('dims')
    writeSafetensors(join(dir, 'model.safetensors'), tensors)
    const checkpoint = openCheckpoint(dir)
    assert.throws(() => checkpoint.read('a', [4]), /tensor a is \[2,2\], expected \[4\]/)
    assert.throws(() => checkpoint.read('c', [4, 1]), /tensor c is missing, expected \[4,1\]/)
    checkpoint.close()
  })

  it('widens half precision', () => {
    const values = Uint16Array.of(0x3c00, 0xc500, 0x0001, 0x7bff) // 1, -5, 2^-24, the largest
    const brains = Uint16Array.of(0x3f80, 0xc0a0) // 1, -5
    const header = JSON.stringify({
      half: { dtype: 'F16', shape: [4], data_offsets: [0, 8] },
      brain: { dtype: 'BF16', shape: [2], data_offsets: [8, 12] },
      whole: { dtype: 'I64', shape: [1], data_offsets: [12, 20] },
    })
    const data = Buffer.concat([new Uint8Array(values.buffer), new Uint8Array(brains.buffer), Buffer.alloc(8)])
    const checkpoint = openCheckpoint(writeRaw('half', header, data))
    assert.deepEqual([...checkpoint.read('half', [4])], [1, -5, 2 ** -24, 65504])
    assert.deepEqual([...checkpoint.read('brain', [2])], [1, -5])
    assert.throws(() => checkpoint.read('whole', [1]), /tensor whole is I64, expected F32, F16 or BF16/)
    checkpoint.close()
  })

  it('refuses what is no finite number', () => {
    const dir = folder('infinite')
    writeSafetensors(join(dir, 'model.safetensors'), [{ name: 'a', dims: [2], data: Float32Array.of(1, Number.NaN) }])
    const checkpoint = openCheckpoint(dir)
    assert.throws(() => checkpoint.read('a', [2]), /model\.safetensors: tensor a has NaN at 1, expected finite numbers/)
    checkpoint.close()
  })

  it('reads shards', () => {
    const dir = folder('shards')
    for (const tensor of tensors) writeSafetensors(join(dir, `${tensor.name}.safetensors`), [tensor])
    const weightMap = { a: 'a.safetensors', b: 'b.safetensors' }
    writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }))
    const checkpoint = openCheckpoint(dir)
    assert.deepEqual(checkpoint.read('b', [3]), tensors[1]!.data)
    checkpoint.close()
    rmSync(join(dir, 'b.safetensors'))
    rejects(dir, /shard b\.safetensors is missing/)
  })

  it('accepts no shard outside the folder', () => {
    const dir = folder('outside')
    writeFileSync(join(dir, 'model.safetensors.index.json'), '{"weight_map":{"a":"../plain/model.safetensors"}}')
    rejects(dir, /must be a file beside the index/)
  })

  it('refuses broken files', () => {
    rejects(join(root, 'absent'), /found no such folder/)
    const pickled = folder('pickled')
    writeFileSync(join(pickled, 'pytorch_model.bin'), '')
    rejects(pickled, /found pytorch_model\.bin.*converted/)
    const empty = folder('empty')
    writeFileSync(join(empty, 'model.safetensors'), '')
    rejects(empty, /0 bytes are too few/)
    rejects(writeRaw('text', '{', new Uint8Array()), /header is not JSON/)
    rejects(writeRaw('nothing', 'null', new Uint8Array()), /header is not an object/)
    const index = folder('index')
    writeFileSync(join(index, 'model.safetensors.index.json'), '{"weight_map"')
    rejects(index, /model\.safetensors\.index\.json: is not JSON/)
    rejects(writeRaw('long', '{}', new Uint8Array(), 1000), /would have 1000 bytes/)
    rejects(writeRaw('fields', '{"a":{"dtype":"F32"}}', new Uint8Array()), /tensor a needs dtype, shape/)
    const lying = JSON.stringify({ a: { dtype: 'F32', shape: [3], data_offsets: [0, 8] } })
    rejects(writeRaw('lying', lying, new Uint8Array(8)), /tensor a has 8 bytes for F32 \[3\]/)
  })

  it('refuses a file that was cut off', () => {
    const dir = folder('cut')
    const path = join(dir, 'model.safetensors')
    copyFileSync(join(root, 'plain', 'model.safetensors'), path)
    truncateSync(path, readFileSync(path).length - 1)
    rejects(dir, /cut off: tensor b ends at/)
  })
})
