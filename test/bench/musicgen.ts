import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decoderRows, musicDecoder } from '#shared/model/graph.ts'
import { type MusicManifest, manifestFile } from '#shared/model/manifest.ts'
import { onnxProcessEnv } from '../../services/consumer/onnx/process-env.ts'
import type { Size } from './musicgen-shape.ts'
import type { LoopFigures, Outcome, Precision, Task } from './musicgen-task.ts'
import type { Loss } from './quantisation-loss.ts'

/** Full-size models are made here and removed at the end, or when interrupted. */
const benchDir = '.local/bench'
const taskSeconds = 1800
const interrupted = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }

export interface MusicgenBench {
  model: Size
  precision: Precision
  batches: number[]
  seconds: number
  executionProviders: string[]
  /** Also builds the model in float32 and measures it one step per call. */
  baseline: boolean
}

/** What composing costs with a checkpoint of random weights in the dimensions of the real one. */
export async function benchMusicgen(options: MusicgenBench, say: (line: string) => void) {
  const { model, precision, batches, seconds, executionProviders, baseline } = options
  return withModels(model, say, async ({ build, perform }) => {
    const { dir, peakBytes: buildPeakBytes } = await build(precision)
    const exactDir = !baseline ? undefined : precision === 'fp32' ? dir : (await build('fp32')).dir
    const baselineMs =
      exactDir && (await perform<number>({ type: 'baseline', dir: exactDir, executionProviders, seconds })).figures
    const rows = []
    for (const batch of batches) {
      say(`${batch} at once`)
      const { figures, peakBytes } = await perform<LoopFigures>({
        type: 'loop',
        dir,
        executionProviders,
        batch,
        seconds,
      })
      const stepMs = (1000 * figures.decoder_seconds) / figures.steps
      const { weights, cache } = bytesPerStep(dir, batch, figures.steps)
      const floorMs = (1000 * (weights + cache)) / figures.bandwidth_bytes_per_second
      rows.push({
        batch,
        ...figures,
        seconds_per_clip: figures.total_seconds / batch,
        times_real_time: (batch * seconds) / figures.total_seconds,
        step_ms: stepMs,
        ratio_to_baseline: baselineMs ? (baselineMs * batch) / stepMs : null,
        weight_bytes_per_step: weights,
        cache_bytes_per_step: cache,
        floor_ms: floorMs,
        ratio_to_floor: stepMs / floorMs,
        peak_bytes: peakBytes,
      })
    }
    return { machine: machine(), ...options, build_peak_bytes: buildPeakBytes, baseline_step_ms: baselineMs, rows }
  })
}

/** What each precision loses against float32 with random weights in the dimensions of the real checkpoint. */
export async function benchQuantisation(
  options: { model: Size; precisions: Precision[]; executionProviders: string[] },
  say: (line: string) => void,
) {
  const { model, precisions, executionProviders } = options
  return withModels(model, say, async ({ build, perform }) => {
    const exactDir = (await build('fp32', true)).dir
    const rows = []
    for (const precision of precisions) {
      const { dir } = await build(precision, true)
      const { figures } = await perform<Loss>({ type: 'loss', exactDir, dir, executionProviders })
      rmSync(dir, { recursive: true })
      rows.push({ precision, ...figures })
    }
    return { machine: machine(), model, rows }
  })
}

interface Bench {
  build(precision: Precision, withLogits?: boolean): Promise<{ dir: string; peakBytes: number }>
  perform<T>(task: Task): Promise<Performed<T>>
}

interface Performed<T> {
  figures: T
  peakBytes: number
}

/** An interruption ends the process, once the running task is killed and the models are removed. */
async function withModels<T>(
  size: Size,
  say: (line: string) => void,
  measure: (bench: Bench) => Promise<T>,
): Promise<T> {
  let status: number | undefined
  const interrupt = new AbortController()
  for (const [signal, its] of Object.entries(interrupted)) {
    process.on(signal, () => {
      status ??= its
      interrupt.abort()
    })
  }
  mkdirSync(benchDir, { recursive: true })
  const dir = mkdtempSync(join(benchDir, `${size}-`))
  const checkpointDir = join(dir, 'checkpoint')
  const perform = <F>(task: Task) => performTask<F>(task, interrupt.signal)
  try {
    say(`random checkpoint in the dimensions of ${size}, in ${dir} until the end`)
    await perform({ type: 'checkpoint', dir: checkpointDir, size })
    return await measure({
      perform,
      async build(precision, withLogits = false) {
        say(`building in ${precision}`)
        const outDir = join(dir, precision)
        const { peakBytes } = await perform({ type: 'build', checkpointDir, outDir, precision, withLogits })
        return { dir: outDir, peakBytes }
      },
    })
  } finally {
    rmSync(dir, { recursive: true, force: true })
    if (status) process.exit(status)
  }
}

/** Runs a task in a process of its own, which has ended when this settles. */
async function performTask<T>(task: Task, signal: AbortSignal): Promise<Performed<T>> {
  signal.throwIfAborted()
  const { promise, resolve, reject } = Promise.withResolvers<Performed<T>>()
  const child = fork(fileURLToPath(new URL('musicgen-task.ts', import.meta.url)), [JSON.stringify(task)], {
    timeout: 1000 * taskSeconds,
    // No other signal is heard while ONNX Runtime blocks the thread.
    killSignal: 'SIGKILL',
    serialization: 'advanced',
    // Models are built without the allocator's settings.
    env: { ...onnxProcessEnv, ...(task.type === 'build' && { GLIBC_TUNABLES: '' }), ...process.env },
  })
  const kill = () => child.kill('SIGKILL')
  signal.addEventListener('abort', kill)
  let outcome: Outcome | undefined
  child.once('message', (message) => {
    outcome = message as Outcome
  })
  child.once('error', reject)
  child.once('close', (status, by) => {
    signal.removeEventListener('abort', kill)
    if (!outcome) reject(new Error(`${task.type} ended with ${by ?? status}`))
    else if ('error' in outcome) reject(outcome.error)
    else resolve(outcome as Performed<T>)
  })
  return promise
}

/** What a step must read: all weights but the embeddings, of which it gathers rows, and half of the full cache. */
function bytesPerStep(dir: string, batch: number, steps: number): { weights: number; cache: number } {
  const { music, files, precision }: MusicManifest = JSON.parse(readFileSync(join(dir, manifestFile), 'utf8'))
  const { layers, heads, headWidth, codebooks, codebookSize } = music
  const width = heads * headWidth
  const valueBytes = precision === 'fp16' ? 2 : 4
  const embedding = codebooks * (codebookSize + 1) * width * valueBytes
  const rows = decoderRows(music.guided, batch)
  const weights = (files[`${musicDecoder.file}.data`]?.bytes ?? embedding) - embedding
  return { weights, cache: 2 * layers * rows * width * valueBytes * (steps / 2) }
}

function machine(): string {
  return `${availableParallelism()} cores, ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB`
}
