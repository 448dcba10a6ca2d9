import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import Value from 'typebox/value'
import { audioDecoder, musicDecoder, textEncoder } from '#shared/model/graph.ts'
import { MusicManifest } from '#shared/model/manifest.ts'
import { createTextTokenizer } from '../../../../services/consumer/musicgen/text-tokenizer.ts'
import { openGraph, type Tensor } from '../../../../services/consumer/onnx/graph.ts'
import { writeModelFolder } from '../../../../services/models/model-folder.ts'
import { writeAudioDecoder } from '../../../../services/models/musicgen/audio-decoder.ts'
import { buildMusicgen } from '../../../../services/models/musicgen/build.ts'
import { readMusicgenConfig } from '../../../../services/models/musicgen/config.ts'
import { writeTinyMusicgen } from '../../../../services/models/musicgen/tiny.ts'
import { openCheckpoint, writeSafetensors } from '../../../../services/models/safetensors.ts'
import golden from '../../../golden/musicgen.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'

const codebooks = 4
const codebookSize = 2048

describe('a MusicGen checkpoint', () => {
  let dir: string
  let checkpointDir: string
  let manifest: MusicManifest
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'musicgen-'))
    checkpointDir = join(dir, 'checkpoint')
    writeTinyMusicgen(checkpointDir, { seed: golden.seed })
    build(checkpointDir, 'built')
    manifest = JSON.parse(readFileSync(join(dir, 'built', 'manifest.json'), 'utf8'))
  })
  after(() => rmSync(dir, { recursive: true }))

  function build(from: string, name: string): void {
    const source = { repository: 'none', revision: 'seed', generated: true }
    const outDir = join(dir, name)
    buildMusicgen({ checkpointDir: from, outDir, name, source, license: 'MIT', precision: 'fp32', withLogits: true })
  }

  async function run(file: string, inputs: Record<string, Tensor>, model = 'built'): Promise<Record<string, Tensor>> {
    const graph = await openGraph(join(dir, model, file), { executionProviders: ['cpu'] })
    try {
      return await graph.run(inputs)
    } finally {
      await graph.release()
    }
  }

  function encodeText(ids: number[][]): Promise<Record<string, Tensor>> {
    return run(textEncoder.file, textInputs(ids))
  }

  async function decodeAudio(codes: number[][], model = 'built'): Promise<Float32Array> {
    const dims = [1, codes.length, codes[0]!.length]
    const { pcm } = await run(audioDecoder.file, { [audioDecoder.codes]: int64(codes.flat(), dims) }, model)
    return pcm!.data as Float32Array
  }

  /** Runs the decoder in chunks of these numbers of steps. */
  async function decode(options: {
    ids: number[][]
    chunks: number[]
    topK: number
    temperature?: number
    uniform: (step: number, i: number) => number
    frameCounts?: number[]
  }) {
    const { ids, chunks, topK, temperature = 1, uniform, frameCounts } = options
    const batch = ids.length
    const total = chunks.reduce((sum, steps) => sum + steps, 0)
    const frames = frameCounts ?? ids.map(() => total - codebooks + 1)
    const text = await encodeText(ids)
    const { layers, heads, headWidth } = manifest.music
    const graph = await openGraph(join(dir, 'built', musicDecoder.file), { executionProviders: ['cpu'] })
    const columns: number[] = []
    const logits: Float32Array[] = []
    let cache = float32([], [layers, 2 * batch, heads, 0, headWidth])
    let cachedValues = cache
    let codes = int64(Array(batch * codebooks).fill(codebookSize), [batch, codebooks])
    let position = 0
    for (const steps of chunks) {
      const draws = Array.from({ length: steps * batch * codebooks }, (_, i) => {
        const perStep = batch * codebooks
        return uniform(position + Math.floor(i / perStep), i % perStep)
      })
      const outputs = await graph.run({
        [musicDecoder.codes]: codes,
        [musicDecoder.position]: int64([position], []),
        [musicDecoder.frameCounts]: int64(frames, [batch]),
        [musicDecoder.uniforms]: float32(draws, [steps, batch, codebooks]),
        [musicDecoder.guidanceScale]: float32([3], []),
        [musicDecoder.temperature]: float32([temperature], []),
        [musicDecoder.topK]: int64([topK], []),
        [musicDecoder.attentionMask]: textInputs(ids)[textEncoder.attentionMask]!,
        [musicDecoder.crossKeys]: text[textEncoder.crossKeys]!,
        [musicDecoder.crossValues]: text[textEncoder.crossValues]!,
        [musicDecoder.pastKeys]: cache,
        [musicDecoder.pastValues]: cachedValues,
      })
      cache = outputs[musicDecoder.presentKeys]!
      cachedValues = outputs[musicDecoder.presentValues]!
      position += steps
      assert.deepEqual([...cache.dims], [layers, 2 * batch, heads, position, headWidth])
      const chunk = [...(outputs[musicDecoder.columns]!.data as BigInt64Array)].map(Number)
      columns.push(...chunk)
      codes = int64(chunk.slice(-batch * codebooks), [batch, codebooks])
      const chunkLogits = outputs[musicDecoder.logits]!.data as Float32Array
      const stepSize = batch * codebooks * codebookSize
      for (let step = 0; step < steps; step++) logits.push(chunkLogits.slice(step * stepSize, (step + 1) * stepSize))
    }
    await graph.release()
    return { columns, logits, frames }
  }

  it('is described by a manifest', () => {
    assert.deepEqual([...Value.Errors(MusicManifest, manifest)], [])
    const files = readdirSync(join(dir, 'built')).filter((name) => name !== 'manifest.json')
    assert.deepEqual(Object.keys(manifest.files).sort(), files.sort())
    const { frameRate, sampleRate, channels, guided, topK, maxTextTokens } = manifest.music
    assert.deepEqual(
      { frameRate, sampleRate, channels, guided, topK, maxTextTokens },
      { frameRate: 50, sampleRate: 32000, channels: 1, guided: true, topK: 250, maxTextTokens: 512 },
    )
  })

  it('has a tokenizer whose ids are those of the reference implementation', () => {
    const json = JSON.parse(readFileSync(join(dir, 'built', 'tokenizer.json'), 'utf8'))
    const tokenizer = createTextTokenizer(json, 512)
    assert.deepEqual(
      golden.prompts.map((prompt) => tokenizer.encode(prompt).ids),
      golden.prompt_ids,
    )
  })

  it('encodes a batch of prompts of different lengths as the reference does', async () => {
    const outputs = await encodeText(golden.prompt_ids)
    assertClose(outputs[textEncoder.hiddenStates]!, floats(golden.hidden_states), tolerance.state)
  })

  it('encodes a prompt beyond the farthest distance bucket as the reference does', async () => {
    const json = JSON.parse(readFileSync(join(dir, 'built', 'tokenizer.json'), 'utf8'))
    const { ids } = createTextTokenizer(json, 512).encode(golden.long_prompt)
    assert.ok(ids.length > 128)
    const { data, dims } = (await encodeText([ids]))[textEncoder.hiddenStates]!
    const width = dims[2]!
    const kept = (data as Float32Array).filter((_, i) => Math.floor(i / width) % golden.long_stride === 0)
    assertClose({ type: 'float32', data: kept, dims: [] }, floats(golden.long_hidden_states), tolerance.state)
  })

  it('decodes greedily with guidance to the codes and logits of the reference, whatever the chunks', async () => {
    for (const chunks of [[64], [1, 2, 30, 31]]) {
      const { columns, logits, frames } = await decode({ ids: golden.prompt_ids, chunks, topK: 1, uniform: () => 0.99 })
      const expected = floats(golden.logits)
      const perStep = expected.length / golden.logit_steps.length
      for (const [i, step] of golden.logit_steps.entries()) {
        const kept = logits[step]!.filter((_, index) => index % golden.logit_stride === 0)
        const reference = expected.slice(i * perStep, (i + 1) * perStep)
        assertClose({ type: 'float32', data: kept, dims: [] }, reference, tolerance.logit)
      }
      for (const clip of golden.codes.keys()) {
        const codes = Array.from({ length: codebooks }, (_, k) =>
          Array.from({ length: frames[clip]! }, (_, f) => columns[((f + k) * frames.length + clip) * codebooks + k]),
        )
        assert.deepEqual(codes, golden.codes[clip])
      }
    }
  })

  it('holds each codebook at the start token outside its clip’s own frames', async () => {
    const frameCounts = [2, 5]
    const { columns } = await decode({
      ids: golden.prompt_ids,
      chunks: [3, 5],
      topK: 250,
      uniform: () => 0.5,
      frameCounts,
    })
    for (const [i, code] of columns.entries()) {
      const step = Math.floor(i / (2 * codebooks))
      const frame = step - (i % codebooks)
      const frames = frameCounts[Math.floor(i / codebooks) % 2]!
      assert.equal(code === codebookSize, frame < 0 || frame >= frames, `step ${step}, entry ${i}`)
    }
  })

  it('draws from the likeliest codes by the uniform numbers it is given', async () => {
    const [topK, temperature] = [5, 0.8]
    const uniform = (step: number, i: number) => ((step * 37 + i * 11) % 100) / 100
    const { columns, logits } = await decode({ ids: golden.prompt_ids, chunks: [4, 6], topK, temperature, uniform })
    const perStep = 2 * codebooks
    for (const [at, code] of columns.entries()) {
      const [step, i] = [Math.floor(at / perStep), at % perStep]
      if (code === codebookSize) continue
      const row = logits[step]!.slice(i * codebookSize, (i + 1) * codebookSize)
      const likeliest = [...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, topK)
      const weights = likeliest.map((k) => Math.exp((row[k]! - row[likeliest[0]!]!) / temperature))
      const sum = weights.reduce((a, b) => a + b)
      const passed = (rank: number) => weights.slice(0, rank + 1).reduce((a, b) => a + b) > uniform(step, i) * sum
      const rank = weights.findIndex((_, k) => passed(k))
      assert.equal(code, likeliest[rank], `step ${step}, entry ${i}`)
    }
  })

  it('takes a draw just under 1, and a topK beyond the codebook', async () => {
    const below = 1 - 2 ** -24
    const { columns } = await decode({ ids: golden.prompt_ids, chunks: [8], topK: 1e6, uniform: () => below })
    assert.ok(columns.every((code) => code >= 0 && code <= codebookSize))
  })

  it('gives each prompt of a batch what it gets alone', async () => {
    const uniform = (step: number, i: number) => ((step * 37 + (i % codebooks) * 11) % 100) / 100
    const options = { chunks: [16, 16], topK: 250, uniform }
    const together = await decode({ ids: golden.prompt_ids, ...options })
    for (const [clip, ids] of golden.prompt_ids.entries()) {
      const alone = await decode({ ids: [ids], ...options })
      const ours = together.columns.filter((_, i) => Math.floor(i / codebooks) % golden.prompt_ids.length === clip)
      assert.deepEqual(ours, alone.columns)
    }
  })

  it('turns codes into the sound of the reference, also clips too short to reflect', async () => {
    for (const { frames, pcm } of golden.pcm) {
      const codes = golden.codes[0]!.map((row) => row.slice(0, frames))
      const found = await decodeAudio(codes)
      assert.equal(found.length, frames * 640)
      assertDecibels(found, floats(pcm), tolerance.pcmDecibels)
    }
  })

  it('pads and trims as its config says', async () => {
    for (const [i, { changes, pcm }] of golden.audio_variants.entries()) {
      const variant = copyCheckpoint(`variant-${i}`)
      edit(variant, 'config.json', (config) => Object.assign(config.audio_encoder, changes))
      build(variant, `built-variant-${i}`)
      const codes = golden.codes[0]!.map((row) => row.slice(0, 4))
      assertDecibels(await decodeAudio(codes, `built-variant-${i}`), floats(pcm), tolerance.pcmDecibels)
    }
  })

  it('decodes stereo codebooks, left and right interleaved, as two tracks', async () => {
    const { audio_encoder: audio, decoder } = readMusicgenConfig(checkpointDir)
    const stereo = { ...decoder, num_codebooks: 2 * codebooks, audio_channels: 2 as const }
    const checkpoint = openCheckpoint(checkpointDir)
    writeModelFolder(join(dir, 'stereo'), (folder) => {
      writeAudioDecoder(folder, { checkpoint, audio, decoder: stereo })
      return {}
    })
    checkpoint.close()
    const [left, right] = golden.codes.map((codes) => codes.map((row) => row.slice(0, 5)))
    const both = await decodeAudio(
      left!.flatMap((row, k) => [row, right![k]!]),
      'stereo',
    )
    const apart = [...(await decodeAudio(left!)), ...(await decodeAudio(right!))]
    assertDecibels(both, Float32Array.from(apart), 100)
  })

  it('builds the same from weights under the older names of weight normalisation', async () => {
    const older = copyCheckpoint('older')
    const checkpoint = openCheckpoint(checkpointDir)
    const tensors = checkpoint.names.map((name) => {
      const dims = checkpoint.dims(name)!
      const renamed = name
        .replace('parametrizations.weight.original0', 'weight_g')
        .replace('parametrizations.weight.original1', 'weight_v')
      return { name: renamed, dims, data: checkpoint.read(name, dims) }
    })
    checkpoint.close()
    writeSafetensors(join(older, 'model.safetensors'), tensors)
    build(older, 'built-older')
    const { files } = JSON.parse(readFileSync(join(dir, 'built-older', 'manifest.json'), 'utf8'))
    assert.deepEqual(files, manifest.files)
  })

  it('is refused, with the reason, when it is of another architecture', () => {
    const cases: [(config: Config) => void, RegExp][] = [
      [(config) => Object.assign(config, { model_type: 'bert' }), /config\.json: model_type .*found "bert"/],
      [(config) => delete config.decoder.num_codebooks, /decoder .*num_codebooks/],
      [(config) => Object.assign(config.text_encoder, { feed_forward_proj: 'gated-gelu' }), /feed_forward_proj/],
      [(config) => Object.assign(config.decoder, { num_attention_heads: 5 }), /hidden_size is 32, expected a multiple/],
      [
        (config) => Object.assign(config.decoder, { ffn_dim: 65 }),
        /layers\.0\.fc1\.weight is \[64,32\], expected \[65,32\]/,
      ],
    ]
    for (const [i, [change, message]] of cases.entries()) {
      const changed = copyCheckpoint(`refused-${i}`)
      edit(changed, 'config.json', change)
      assert.throws(
        () => build(changed, 'refused'),
        (error: Error) => error.name === 'CheckpointError' && message.test(error.message),
      )
    }
    assert.ok(!readdirSync(dir).some((name) => name === 'refused' || name.startsWith('.')))
  })

  function copyCheckpoint(name: string): string {
    const copy = join(dir, name)
    mkdirSync(copy)
    for (const file of readdirSync(checkpointDir))
      writeFileSync(join(copy, file), readFileSync(join(checkpointDir, file)))
    return copy
  }
})

type Config = Record<'audio_encoder' | 'decoder' | 'text_encoder', Record<string, unknown>>

function edit(dir: string, file: string, change: (config: Config) => void): void {
  const path = join(dir, file)
  const config = JSON.parse(readFileSync(path, 'utf8'))
  change(config)
  writeFileSync(path, JSON.stringify(config))
}

function textInputs(ids: number[][]): Record<string, Tensor> {
  const length = Math.max(...ids.map((row) => row.length))
  const dims = [ids.length, length]
  const pad = (row: number[], value: number) => [...row, ...Array(length - row.length).fill(value)]
  return {
    [textEncoder.inputIds]: int64(
      ids.flatMap((row) => pad(row, 0)),
      dims,
    ),
    [textEncoder.attentionMask]: int64(
      ids.flatMap((row) =>
        pad(
          row.map(() => 1),
          0,
        ),
      ),
      dims,
    ),
  }
}

function int64(values: number[], dims: number[]): Tensor {
  return { type: 'int64', data: BigInt64Array.from(values, BigInt), dims }
}

function float32(values: number[], dims: number[]): Tensor {
  return { type: 'float32', data: Float32Array.from(values), dims }
}

/** Little-endian float32 in base64. */
function floats(base64: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'))
  return new Float32Array(bytes.buffer)
}

function assertClose(found: Tensor, expected: Float32Array, largest: number): void {
  assert.equal(found.data.length, expected.length)
  const worst = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - Number(found.data[i]))), 0)
  assert.ok(worst <= largest, `differs by ${worst}, expected at most ${largest}`)
}

function assertDecibels(found: Float32Array, expected: Float32Array, least: number): void {
  assert.equal(found.length, expected.length)
  const power = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0)
  const noise = power(expected.map((value, i) => value - found[i]!))
  const decibels = 10 * Math.log10(power(expected) / Math.max(noise, 1e-30))
  assert.ok(decibels >= least, `${decibels.toFixed(1)} dB, expected at least ${least}`)
}
