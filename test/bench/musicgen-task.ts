// One measurement of MusicGen in a process of its own, so that its peak of memory is its own.
import { readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { audioDecoder, decoderRows, musicDecoder, textEncoder } from '#shared/model/graph.ts'
import { type MusicManifest, manifestFile, tokenizerFile } from '#shared/model/manifest.ts'
import { createTextTokenizer } from '#shared/text-tokenizer.ts'
import { createComposer, stepsPerChunk } from '../../services/consumer/musicgen/composer.ts'
import { type Graph, openGraph } from '../../services/consumer/onnx/graph.ts'
import { buildMusicgen } from '../../services/models/musicgen/build.ts'
import { writeRandomMusicgen } from '../../services/models/musicgen/tiny.ts'
import { createGraph } from '../../services/models/onnx-graph.ts'
import { startBandwidthProbe } from './memory-bandwidth.ts'
import { type Size, shapes } from './musicgen-shape.ts'
import { createPooledWeights } from './pooled-weights.ts'
import { measureLoss } from './quantisation-loss.ts'
import { float32, int64 } from './tensor.ts'

export type Precision = MusicManifest['precision']

export type Task =
  | { type: 'checkpoint'; dir: string; size: Size }
  | { type: 'build'; checkpointDir: string; outDir: string; precision: Precision; withLogits?: boolean }
  | { type: 'loop'; dir: string; executionProviders: string[]; batch: number; seconds: number }
  | { type: 'baseline'; dir: string; executionProviders: string[]; seconds: number }
  | { type: 'loss'; exactDir: string; dir: string; executionProviders: string[] }

export type Outcome = { figures: unknown; peakBytes: number } | { error: unknown }

export interface LoopFigures {
  /** All clips of the batch, from prompts to PCM. */
  total_seconds: number
  text_encoder_seconds: number
  decoder_seconds: number
  audio_decoder_seconds: number
  steps: number
  /** Of what the memory gave after each chunk of steps, the harmonic mean. */
  bandwidth_bytes_per_second: number
}

/** Of about the length that pictures get, so that cross-attention has what it will have. */
const prompt =
  'a slow and calm piano piece with soft strings in a minor key, dreamy and intimate, romantic era, 70 beat tempo'
/** Lengths of the cache at which single steps are timed, evenly over the clip, and how many steps at each. */
const baselinePositions = 8
const baselineSteps = 3

if (process.send) {
  // The parent is told of Ctrl-C too, and kills this process.
  process.on('SIGINT', () => {})
  process.on('disconnect', () => process.exit())
  const outcome: Outcome = await perform(JSON.parse(process.argv[2]!)).then(
    (figures) => ({ figures, peakBytes: process.resourceUsage().maxRSS * 1024 }),
    (error: unknown) => ({ error }),
  )
  process.send(outcome, () => process.exit())
}

async function perform(task: Task): Promise<unknown> {
  switch (task.type) {
    case 'checkpoint':
      return writeRandomMusicgen(task.dir, { shape: shapes[task.size], random: createPooledWeights(1) })
    case 'build': {
      const source = { repository: 'generated', revision: 'seed 1', generated: true }
      return buildMusicgen({ name: 'bench', source, license: 'MIT', ...task })
    }
    case 'loop':
      return measureLoop(task)
    case 'baseline':
      return measureBaseline(task)
    case 'loss':
      return measureLoss({ ...task, prompt })
  }
}

async function measureLoop(task: Task & { type: 'loop' }): Promise<LoopFigures> {
  const { dir, executionProviders, batch, seconds } = task
  const { music } = readManifest(dir)
  const spent = { textEncoder: 0, decoder: 0, audioDecoder: 0, probe: 0 }
  const probe = startBandwidthProbe()
  let secondsPerByte: number[] = []
  const open = async (name: 'textEncoder' | 'decoder' | 'audioDecoder', file: string): Promise<Graph> => {
    const graph = await openGraph(join(dir, file), { executionProviders })
    return {
      ...graph,
      async run(inputs, wanted) {
        const start = performance.now()
        const outputs = await graph.run(inputs, wanted)
        const end = performance.now()
        spent[name] += (end - start) / 1000
        if (name === 'decoder') {
          secondsPerByte.push(1 / (await probe.measure()))
          spent.probe += (performance.now() - end) / 1000
        }
        return outputs
      },
    }
  }
  const composer = createComposer({
    manifest: music,
    tokenizer: createTextTokenizer(JSON.parse(readFileSync(join(dir, tokenizerFile), 'utf8')), music.maxTextTokens),
    graphs: {
      textEncoder: await open('textEncoder', textEncoder.file),
      decoder: await open('decoder', musicDecoder.file),
      audioDecoder: await open('audioDecoder', audioDecoder.file),
    },
    stepsPerChunk: stepsPerChunk(executionProviders[0]!),
  })
  const { signal } = new AbortController()
  const compose = (clips: number, length: number) =>
    composer.compose(
      Array.from({ length: clips }, (_, seed) => ({
        clip: { prompt, seed, seconds: length },
        signal,
        onProgress() {},
        onWarning() {},
        onFinished() {},
      })),
      { signal },
    )
  await compose(batch, seconds)
  Object.assign(spent, { textEncoder: 0, decoder: 0, audioDecoder: 0, probe: 0 })
  secondsPerByte = []
  const start = performance.now()
  await compose(batch, seconds)
  const total = (performance.now() - start) / 1000 - spent.probe
  probe.close()
  return {
    total_seconds: total,
    text_encoder_seconds: spent.textEncoder,
    decoder_seconds: spent.decoder,
    audio_decoder_seconds: spent.audioDecoder,
    steps: Math.round(seconds * music.frameRate) + Math.max(...music.delays),
    bandwidth_bytes_per_second: secondsPerByte.length / secondsPerByte.reduce((sum, each) => sum + each, 0),
  }
}

/** Milliseconds of a step when every step is a call of its own and the whole cache comes out and goes in again. */
async function measureBaseline(task: Task & { type: 'baseline' }): Promise<number> {
  const { dir, executionProviders, seconds } = task
  const { music } = readManifest(dir)
  const { layers, heads, headWidth, codebooks, codebookSize } = music
  const steps = Math.round(seconds * music.frameRate) + Math.max(...music.delays)
  const graph = await openGraph(writeBaselineDecoder(dir, layers), { executionProviders })
  const rows = decoderRows(music.guided, 1)
  const text = 32
  const cross = float32([layers, 1, heads, text, headWidth])
  const constant = {
    [musicDecoder.codes]: int64(Array(codebooks).fill(codebookSize), [1, codebooks]),
    [musicDecoder.frameCounts]: int64([steps], [1]),
    [musicDecoder.uniforms]: float32([1, 1, codebooks]),
    ...(music.guided && { [musicDecoder.guidanceScale]: float32([]) }),
    [musicDecoder.temperature]: float32([], [music.temperature]),
    [musicDecoder.topK]: int64([music.topK], []),
    [musicDecoder.attentionMask]: int64(Array(text).fill(1), [1, text]),
    [musicDecoder.crossKeys]: cross,
    [musicDecoder.crossValues]: cross,
  }
  let milliseconds = 0
  for (let i = 0; i < baselinePositions; i++) {
    const position = Math.floor(((i + 0.5) / baselinePositions) * steps)
    const empty = float32([rows, heads, position, headWidth])
    let past = Object.fromEntries(caches(layers).map(({ past: name }) => [name, empty]))
    // The first step at a length makes room for it and is not counted.
    for (let step = 0; step <= baselineSteps; step++) {
      const start = performance.now()
      const outputs = await graph.run({
        ...constant,
        [musicDecoder.position]: int64([position + step], []),
        ...past,
      })
      past = Object.fromEntries(caches(layers).map(({ past: name, present }) => [name, outputs[present]!]))
      if (step > 0) milliseconds += performance.now() - start
    }
  }
  return milliseconds / (baselinePositions * baselineSteps)
}

/** The decoder in `dir` with the whole cache as outputs, past and new joined: how a pipeline keeps it that has no loop in its graph. */
function writeBaselineDecoder(dir: string, layers: number): string {
  const path = join(dir, 'baseline-decoder.onnx')
  const parts: Uint8Array[] = []
  const file = {
    position: 0,
    write: (bytes: Uint8Array) => parts.push(bytes),
    close: () => writeFileSync(path, Buffer.concat(parts)),
  }
  const graph = createGraph({ create: () => file, files: {} }, basename(path))
  for (const { past, added, present } of caches(layers)) {
    const joined = graph.op('Concat', [past, added], { axis: 2 })
    graph.output({ name: present, type: 'float32', dims: ['rows', 'heads', 'end', 'headWidth'] }, joined)
  }
  graph.write(readFileSync(join(dir, musicDecoder.file)))
  return path
}

function caches(layers: number) {
  return Array.from({ length: layers }, (_, layer) => [
    { past: musicDecoder.pastKeys(layer), added: musicDecoder.newKeys(layer), present: `present_keys.${layer}` },
    { past: musicDecoder.pastValues(layer), added: musicDecoder.newValues(layer), present: `present_values.${layer}` },
  ]).flat()
}

function readManifest(dir: string): MusicManifest {
  return JSON.parse(readFileSync(join(dir, manifestFile), 'utf8'))
}
