import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { audioDecoder, musicDecoder, textEncoder } from '#shared/model/graph.ts'
import type { MusicManifest, Precision } from '#shared/model/manifest.ts'
import { createAttentionCache } from '../../../../services/consumer/musicgen/attention-cache.ts'
import { openGraph, type Tensor } from '../../../../services/consumer/onnx/graph.ts'
import { buildMusicgen } from '../../../../services/models/musicgen/build.ts'
import { type CheckpointName, writeGoldenCheckpoint } from '../../../golden/musicgen-checkpoints.ts'

/** Of the checkpoint `mono`. */
export const codebooks = 4
export const codebookSize = 2048

/** A checkpoint that there are golden values of, built into a new folder; the caller's to remove. */
export function createGoldenModel(name: CheckpointName = 'mono') {
  const dir = mkdtempSync(join(tmpdir(), 'musicgen-'))
  const checkpointDir = join(dir, 'checkpoint')
  writeGoldenCheckpoint(checkpointDir, name)

  function build(from: string, name: string, precision: Precision = 'fp32'): void {
    const source = { repository: 'none', revision: 'seed', generated: true }
    const outDir = join(dir, name)
    buildMusicgen({ checkpointDir: from, outDir, name, source, license: 'MIT', precision, withLogits: true })
  }
  build(checkpointDir, 'built')
  const readManifest = (model: string): MusicManifest =>
    JSON.parse(readFileSync(join(dir, model, 'manifest.json'), 'utf8'))
  const manifest = readManifest('built')

  async function run(file: string, inputs: Record<string, Tensor>, model = 'built'): Promise<Record<string, Tensor>> {
    const graph = await openGraph(join(dir, model, file), { executionProviders: ['cpu'] })
    try {
      return await graph.run(inputs)
    } finally {
      await graph.release()
    }
  }

  function encodeText(ids: number[][], model = 'built'): Promise<Record<string, Tensor>> {
    return run(textEncoder.file, textInputs(ids), model)
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
    guidanceScale?: number
    /** Another built model, which may be unguided. */
    model?: string
  }) {
    const { ids, chunks, topK, temperature = 1, uniform, frameCounts } = options
    const { guidanceScale = 3, model = 'built' } = options
    const { music } = readManifest(model)
    const { guided } = music
    const batch = ids.length
    const total = chunks.reduce((sum, steps) => sum + steps, 0)
    const frames = frameCounts ?? ids.map(() => total - codebooks + 1)
    const text = await encodeText(ids)
    const graph = await openGraph(join(dir, model, musicDecoder.file), { executionProviders: ['cpu'] })
    const columns: number[] = []
    const logits: Float32Array[] = []
    const cache = createAttentionCache(music, { batch, steps: total })
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
        ...(guided && { [musicDecoder.guidanceScale]: float32([guidanceScale], []) }),
        [musicDecoder.temperature]: float32([temperature], []),
        [musicDecoder.topK]: int64([topK], []),
        [musicDecoder.attentionMask]: textInputs(ids)[textEncoder.attentionMask]!,
        [musicDecoder.crossKeys]: text[textEncoder.crossKeys]!,
        [musicDecoder.crossValues]: text[textEncoder.crossValues]!,
        ...cache.past(),
      })
      cache.append(outputs, steps)
      position += steps
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

  function copyCheckpoint(name: string): string {
    const copy = join(dir, name)
    mkdirSync(copy)
    for (const file of readdirSync(checkpointDir))
      writeFileSync(join(copy, file), readFileSync(join(checkpointDir, file)))
    return copy
  }

  const remove = () => rmSync(dir, { recursive: true })
  return { dir, checkpointDir, manifest, build, encodeText, decode, decodeAudio, copyCheckpoint, remove }
}

export type Config = Record<'audio_encoder' | 'decoder' | 'text_encoder', Record<string, unknown>>

export function edit(dir: string, file: string, change: (config: Config) => void): void {
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
export function floats(base64: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(base64, 'base64'))
  return new Float32Array(bytes.buffer)
}

/** What the reference values have of longer ones. */
export function every(stride: number, values: Float32Array): Float32Array {
  return values.filter((_, i) => i % stride === 0)
}

export function assertClose(found: Tensor['data'], expected: Float32Array, largest: number): void {
  assert.equal(found.length, expected.length)
  const worst = expected.reduce((max, value, i) => Math.max(max, Math.abs(value - Number(found[i]))), 0)
  assert.ok(worst <= largest, `differs by ${worst}, expected at most ${largest}`)
}

export function assertDecibels(found: Float32Array, expected: Float32Array, least: number): void {
  assert.equal(found.length, expected.length)
  const power = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0)
  const noise = power(expected.map((value, i) => value - found[i]!))
  const decibels = 10 * Math.log10(power(expected) / Math.max(noise, 1e-30))
  assert.ok(decibels >= least, `${decibels.toFixed(1)} dB, expected at least ${least}`)
}

/** Root mean square of the difference over that of the values. */
export function relativeError(found: Float32Array, expected: Float32Array): number {
  const power = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0)
  return Math.sqrt(power(found.map((value, i) => value - expected[i]!)) / power(expected))
}
