import { audioDecoder, musicDecoder } from '#shared/model/graph.ts'
import type { MusicManifest } from '#shared/model/manifest.ts'
import type { TextTokenizer } from '#shared/text-tokenizer.ts'
import { float32, type Graph, int64, output, type Tensor } from '../onnx/graph.ts'
import { createAttentionCache } from './attention-cache.ts'
import { conditionOnTexts } from './conditioning.ts'
import { frameCount, stepCount, undoDelay } from './delay-pattern.ts'
import { createUniform } from './random.ts'

export interface Clip {
  prompt: string
  /** 0 to 2^32 - 1. Same prompt, seed and seconds: same music. */
  seed: number
  seconds: number
}

/** A clip in a batch: heard of, and given up, independently of the others. */
export interface Commission {
  clip: Clip
  /** Aborted when the clip is not wanted any more. */
  signal: AbortSignal
  /** How much of the clip is sampled, 0 to 1, after every chunk. */
  onProgress(fraction: number): void
  /** Called before the first step when the prompt is more than the model takes. */
  onWarning(message: string): void
  onFinished(pcm: Pcm): void
}

/** One track per channel, each of the clip's samples, about -1 to 1. */
export type Pcm = Float32Array[]

/**
 * Columns of the delay pattern that one call of the decoder samples. After each call progress is told, and cancellation and
 * time limits are heard; but what the layers remember then crosses from the device to the host and back. On a CPU, where that
 * is one memory, a call makes one second of sound; on a GPU ten, most clips whole.
 */
export const stepsPerChunk = (executionProvider: string) => (executionProvider === 'cpu' ? 50 : 512)

/** Text to PCM with a MusicGen model; the graphs stay the caller's to release. */
export function createComposer(dependencies: {
  manifest: MusicManifest['music']
  tokenizer: TextTokenizer
  graphs: { textEncoder: Graph; decoder: Graph; audioDecoder: Graph }
  stepsPerChunk: number
}) {
  const { manifest, tokenizer, graphs, stepsPerChunk } = dependencies
  const { codebooks, codebookSize, delays, frameRate, channels } = manifest

  /**
   * Composes the clips of a batch in one loop. A clip is finished after the chunk that has its last column, before
   * longer ones; one that is aborted takes no more work once the others are finished. Throws `signal.reason` before the next chunk when
   * `signal` is aborted, RangeError when a clip's length is not 0.02 to 30 s, and Error when the model's numbers are not finite.
   */
  async function compose(commissions: readonly Commission[], { signal }: { signal: AbortSignal }): Promise<void> {
    const clips = commissions.map(({ clip }) => clip)
    const frames = clips.map(({ seconds }) => frameCount(seconds, frameRate))
    const steps = frames.map((count) => stepCount(count, delays))
    const batch = clips.length
    const last = Math.max(...steps)
    const columns = new BigInt64Array(last * batch * codebooks)
    const next = await startLoop(commissions, { frames, last })
    const unfinished = new Set(commissions.keys())
    for (let sampled = 0; unfinished.size > 0; ) {
      signal.throwIfAborted()
      const chunk = await next(Math.min(stepsPerChunk, last - sampled))
      columns.set(chunk, sampled * batch * codebooks)
      sampled += chunk.length / batch / codebooks
      for (const index of unfinished) {
        const { signal: unwanted, onProgress, onFinished } = commissions[index]!
        if (!unwanted.aborted) onProgress(Math.min(1, sampled / steps[index]!))
        if (!unwanted.aborted && sampled < steps[index]!) continue
        unfinished.delete(index)
        if (unwanted.aborted) continue
        const count = frames[index]!
        onFinished(await decodeAudio(undoDelay(columns, { clip: index, batch, delays, frames: count }), count))
      }
    }
  }

  /** Each call of what it returns samples so many columns more: [steps, batch, codebooks]. */
  async function startLoop(
    commissions: readonly Commission[],
    { frames, last }: { frames: readonly number[]; last: number },
  ) {
    const batch = commissions.length
    const text = await conditionOnTexts(graphs.textEncoder, commissions.map(tokenize), manifest)
    const draws = commissions.map(({ clip }) => createUniform(clip.seed))
    const cache = createAttentionCache(manifest, { batch, steps: last })
    let codes = new BigInt64Array(batch * codebooks).fill(BigInt(codebookSize))
    let position = 0
    return async (steps: number): Promise<BigInt64Array> => {
      const inputs = {
        ...text,
        ...cache.past(),
        ...sampling(frames),
        [musicDecoder.codes]: int64(codes, [batch, codebooks]),
        [musicDecoder.position]: int64([position], []),
        [musicDecoder.uniforms]: float32(uniforms(draws, steps), [steps, batch, codebooks]),
      }
      position += steps
      const isLast = position === last
      const chunk = await graphs.decoder.run(inputs, isLast ? [musicDecoder.columns] : undefined)
      const columns = output(chunk, musicDecoder.columns, 'int64').data
      codes = columns.slice(-batch * codebooks)
      if (!isLast) cache.append(chunk, steps)
      return columns
    }
  }

  /** Token ids of each prompt. */
  function tokenize({ clip, onWarning }: Commission): number[] {
    const { ids, truncated } = tokenizer.encode(clip.prompt)
    if (truncated) onWarning(`only the first ${ids.length} tokens of the prompt are heard`)
    return ids
  }

  function sampling(frames: readonly number[]): Record<string, Tensor> {
    return {
      [musicDecoder.frameCounts]: int64(frames, [frames.length]),
      [musicDecoder.temperature]: float32(Float32Array.of(manifest.temperature), []),
      [musicDecoder.topK]: int64([manifest.topK], []),
      ...(manifest.guided && { [musicDecoder.guidanceScale]: float32(Float32Array.of(manifest.guidanceScale), []) }),
    }
  }

  /** Draws of each clip in the order step, codebook: [steps, batch, codebooks]. */
  function uniforms(draws: readonly (() => number)[], steps: number): Float32Array {
    const values = new Float32Array(steps * draws.length * codebooks)
    for (let i = 0; i < values.length; i++) values[i] = draws[Math.floor(i / codebooks) % draws.length]!()
    return values
  }

  /** @param codes [codebooks, frames] */
  async function decodeAudio(codes: BigInt64Array, frames: number): Promise<Pcm> {
    // See `sample`, of the graph.
    if (codes.some((code) => code >= codebookSize)) {
      throw new Error('the logits of the music model are not finite: its weights or its precision cannot be used')
    }
    const decoded = await graphs.audioDecoder.run({ [audioDecoder.codes]: int64(codes, [1, codebooks, frames]) })
    const pcm = output(decoded, audioDecoder.pcm, 'float32').data
    const samples = pcm.length / channels
    return Array.from({ length: channels }, (_, channel) => pcm.slice(channel * samples, (channel + 1) * samples))
  }

  return { compose }
}
