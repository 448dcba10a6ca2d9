import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { MusicManifest } from '#shared/model/manifest.ts'
import { buildModel, modelState } from '../../../services/models/build-model.ts'
import { modelFaults } from '../../../services/models/built-model.ts'
import { writeTinyMusicgen } from '../../../services/models/musicgen/tiny.ts'
import { openCheckpoint, type Tensor, writeSafetensors } from '../../../services/models/safetensors.ts'
import { parseTarget } from '../../../services/models/target.ts'

const root = mkdtempSync(join(tmpdir(), 'build-faults-'))
after(() => rmSync(root, { recursive: true }))

const checkpoint = join(root, 'checkpoint')
const modelDir = join(root, 'models')
const target = parseTarget('tiny-random-musicgen')!
const weights = 'model.safetensors'

let copies = 0
function copy(): string {
  const dir = join(root, `copy-${copies++}`)
  cpSync(checkpoint, dir, { recursive: true })
  return dir
}

/** A copy of the checkpoint with its tensors changed. */
function withTensors(change: (tensors: Tensor[]) => Tensor[]): string {
  const dir = copy()
  writeSafetensors(join(dir, weights), change(readTensors()))
  return dir
}

function readTensors(): Tensor[] {
  const opened = openCheckpoint(checkpoint)
  const tensors = opened.names.map((name) => {
    const dims = opened.dims(name)!
    return { name, dims, data: opened.read(name, dims) }
  })
  opened.close()
  return tensors
}

/** A copy whose header says something else. The header keeps its length. */
function withHeader(from: string, to: string): string {
  assert.equal(from.length, to.length)
  const dir = copy()
  const bytes = readFileSync(join(dir, weights))
  const at = bytes.indexOf(from)
  assert.ok(at > 0)
  bytes.write(to, at)
  writeFileSync(join(dir, weights), bytes)
  return dir
}

async function refuses(from: string, message: RegExp): Promise<void> {
  await assert.rejects(buildModel(target, modelDir, from), message)
  assert.deepEqual(readdirSync(modelDir), [])
}

describe('a build that cannot be', () => {
  before(() => writeTinyMusicgen(checkpoint, { seed: 1 }))

  const fc1 = 'decoder.model.decoder.layers.1.fc1.weight'

  it('names a tensor that is missing, renamed or of another shape, and leaves nothing', async () => {
    await refuses(
      withTensors((tensors) => tensors.filter(({ name }) => name !== fc1)),
      /tensor decoder\.model\.decoder\.layers\.1\.fc1\.weight is missing, expected \[64,32\]/,
    )
    await refuses(
      withTensors((tensors) => tensors.map((each) => (each.name === fc1 ? { ...each, name: 'other' } : each))),
      /layers\.1\.fc1\.weight is missing, expected \[64,32\]/,
    )
    await refuses(
      withTensors((tensors) => tensors.map((each) => (each.name === fc1 ? { ...each, dims: [32, 64] } : each))),
      /layers\.1\.fc1\.weight is \[32,64\], expected \[64,32\]/,
    )
  })

  it('names a tensor of another type', async () => {
    await refuses(
      withHeader(`"${fc1}":{"dtype":"F32"`, `"${fc1}":{"dtype":"I32"`),
      /tensor decoder\.model\.decoder\.layers\.1\.fc1\.weight is I32, expected F32, F16 or BF16/,
    )
  })

  it('names a number that is not finite, or becomes so in float16', async () => {
    const withFirst = (value: number) =>
      withTensors((tensors) => {
        tensors.find(({ name }) => name === fc1)!.data[0] = value
        return tensors
      })
    await refuses(withFirst(Number.NaN), /layers\.1\.fc1\.weight has NaN at 0, expected finite numbers/)
    const halves = { ...target, precision: 'fp16' as const }
    await assert.rejects(
      buildModel(halves, modelDir, withFirst(70_000)),
      /70000 at \d+ is beyond float16; build in another/,
    )
    assert.deepEqual(readdirSync(modelDir), [])
  })

  it('names a convolution of EnCodec without a direction', async () => {
    const zero = withTensors((tensors) => {
      tensors.find(({ name }) => /^audio_encoder\.decoder\..*(original1|weight_v)$/.test(name))!.data.fill(0)
      return tensors
    })
    await refuses(zero, /audio_encoder\.decoder\.\S+: row 0 is zero, expected a direction/)
  })

  it('names a tokenizer that is none, or not this text encoder’s', async () => {
    const withTokenizer = (change: (text: string) => string) => {
      const dir = copy()
      const path = join(dir, 'tokenizer.json')
      writeFileSync(path, change(readFileSync(path, 'utf8')))
      return dir
    }
    await refuses(
      withTokenizer(() => 'version https://git-lfs'),
      /tokenizer\.json: is not JSON/,
    )
    await refuses(
      withTokenizer(() => '{}'),
      /tokenizer\.json: is no tokenizer/,
    )
    const unended = (text: string) => JSON.stringify({ ...JSON.parse(text), post_processor: null })
    await refuses(withTokenizer(unended), /tokenizer\.json: post_processor adds no token to an empty text/)
    const longer = (text: string) => {
      const json = JSON.parse(text)
      json.model.vocab.push(['more', -1])
      return JSON.stringify(json)
    }
    await refuses(withTokenizer(longer), /tokenizer\.json: has a token \d+, expected less than config\.json's .* \d+/)
  })

  it('leaves alone what is no model where the model would go', async () => {
    const outDir = join(modelDir, target.name)
    cpSync(checkpoint, outDir, { recursive: true })
    const files = readdirSync(outDir)
    await assert.rejects(
      buildModel(target, modelDir, outDir),
      /expected a model or nothing, found config\.json\. Move it/,
    )
    assert.deepEqual(readdirSync(outDir), files)
    rmSync(outDir, { recursive: true })
    writeFileSync(outDir, '')
    await assert.rejects(
      buildModel(target, modelDir, checkpoint),
      /expected a model or nothing, found a file\. Move it/,
    )
    rmSync(outDir)
  })

  it('takes the place of a model that is not whole', async () => {
    const dir = join(root, 'healed')
    await buildModel(target, dir, checkpoint)
    rmSync(join(dir, target.name, 'manifest.json'))
    await buildModel(target, dir, checkpoint)
    assert.deepEqual(await modelFaults(join(dir, target.name)), [])
  })

  it('names a file that is cut, and the checkpoint of another architecture', async () => {
    const cut = copy()
    truncateSync(join(cut, weights), statSync(join(cut, weights)).size - 1)
    await refuses(cut, /model\.safetensors: cut off: tensor .* ends at byte \d+ of \d+/)
    const other = copy()
    writeFileSync(join(other, 'config.json'), '{"model_type":"llama"}')
    await refuses(other, /config\.json: model_type .*musicgen.*found "llama"/)
    const untold = copy()
    rmSync(join(untold, 'tokenizer.json'))
    await refuses(untold, /tokenizer\.json: cannot be read/)
  })

  it('says when the disk does not take it, and leaves nothing', () => {
    const dir = join(root, 'full')
    const main = new URL('../../../services/models/main.ts', import.meta.url).pathname
    // No file may have more than 100 blocks of 512 or 1024 bytes.
    const script = 'ulimit -f 100; exec "$0" "$@"'
    const args = [main, 'build', 'tiny-random-musicgen', '--from', checkpoint, '--dir', dir]
    const { status, stderr } = spawnSync('sh', ['-c', script, process.execPath, ...args], { encoding: 'utf8' })
    assert.equal(status, 1)
    assert.match(stderr, /^\S+\/[\w-]+\.onnx\.data: cannot be written after \d+ bytes: EFBIG: .*\n$/)
    assert.deepEqual(readdirSync(dir), [])
  })
})

describe('a build from another layout of the same weights', () => {
  before(() => buildModel(target, join(root, 'reference'), checkpoint))

  const filesOf = (dir: string) => JSON.parse(readFileSync(join(dir, target.name, 'manifest.json'), 'utf8')).files

  it('is the same from shards', async () => {
    const dir = copy()
    rmSync(join(dir, weights))
    const tensors = readTensors()
    const shardOf = (i: number) => `model-0000${(i % 3) + 1}-of-00003.safetensors`
    for (const i of [0, 1, 2]) {
      writeSafetensors(
        join(dir, shardOf(i)),
        tensors.filter((_, place) => place % 3 === i),
      )
    }
    const index = { weight_map: Object.fromEntries(tensors.map(({ name }, i) => [name, shardOf(i)])) }
    writeFileSync(join(dir, 'model.safetensors.index.json'), JSON.stringify(index))
    await buildModel(target, join(root, 'sharded'), dir)
    assert.deepEqual(filesOf(join(root, 'sharded')), filesOf(join(root, 'reference')))
  })

  it('is the same from bfloat16 and from the float32 that it stands for', async () => {
    const tensors = readTensors()
    const rounded = tensors.map((tensor) => {
      const bits = new Uint32Array(tensor.data.buffer).map((value) => value & 0xffff0000)
      return { ...tensor, data: new Float32Array(bits.buffer) }
    })
    const plain = withTensors(() => rounded)
    const halved = copy()
    writeFileSync(join(halved, weights), brainFile(rounded))
    await buildModel(target, join(root, 'rounded'), plain)
    await buildModel(target, join(root, 'halved'), halved)
    assert.deepEqual(filesOf(join(root, 'halved')), filesOf(join(root, 'rounded')))
  })
})

describe('verifying a built model', () => {
  const dir = join(root, 'verified')
  const built = join(dir, target.name)
  const path = join(built, 'manifest.json')
  const edit = (change: (manifest: MusicManifest) => void) => {
    const manifest = JSON.parse(readFileSync(path, 'utf8'))
    change(manifest)
    writeFileSync(path, JSON.stringify(manifest))
  }
  before(() => buildModel(target, dir, checkpoint))

  it('finds graphs that are not those of its manifest', async () => {
    assert.equal(modelState(target, dir, checkpoint), 'built')
    assert.deepEqual(await modelFaults(built), [])
    edit(({ music }) => Object.assign(music, { heads: 4, guided: false }))
    const faults = await modelFaults(built)
    assert.ok(
      faults.some((fault) => /decoder\.onnx: input guidance_scale is not known to the runner$/.test(fault)),
      faults.join('\n'),
    )
    assert.ok(
      faults.some((fault) =>
        /text-encoder\.onnx: output cross_keys is float32 \[2,batch,2,.*expected float32 \[2/.test(fault),
      ),
      faults.join('\n'),
    )
    edit(({ music }) => Object.assign(music, { heads: 2, guided: true }))
    assert.deepEqual(await modelFaults(built), [])
  })

  it('finds another format and precision', async () => {
    edit((manifest) => Object.assign(manifest, { format: 99 }))
    assert.match((await modelFaults(built))[0]!, /manifest\.json: \/format /)
    assert.equal(modelState(target, dir, checkpoint), 'absent')
  })
})

/** A safetensors file of the upper halves of float32 numbers. */
function brainFile(tensors: Tensor[]): Buffer {
  const header: Record<string, object> = {}
  let offset = 0
  const parts = tensors.map(({ name, dims, data }) => {
    const halves = Uint16Array.from(new Uint32Array(data.buffer), (bits) => bits >>> 16)
    header[name] = { dtype: 'BF16', shape: dims, data_offsets: [offset, offset + halves.byteLength] }
    offset += halves.byteLength
    return new Uint8Array(halves.buffer)
  })
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, ...parts])
}
