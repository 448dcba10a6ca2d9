import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { audioDecoder, musicDecoder, textEncoder } from '#shared/model/graph.ts'
import { type MusicManifest, manifestFile, tokenizerFile } from '#shared/model/manifest.ts'
import { createTextTokenizer } from '#shared/text-tokenizer.ts'
import { createAttentionCache } from '../../services/consumer/musicgen/attention-cache.ts'
import { undoDelay } from '../../services/consumer/musicgen/delay-pattern.ts'
import { openGraph } from '../../services/consumer/onnx/graph.ts'
import { float32, int64 } from './tensor.ts'

const steps = 64

export interface Loss {
  /** Root mean square of the difference over that of the logits, after guidance. */
  relative_logit_error: number
  /** Part of the greedy codes that are the same when both read the same codes before. */
  token_agreement: number
  /** Signal to noise of the sound of the greedy codes, decibels; null when it is the same. */
  pcm_decibels: number | null
}

/** What a model loses against one of float32 in 64 greedy steps, in which it reads the codes that the other chose. */
export async function measureLoss(options: {
  exactDir: string
  dir: string
  prompt: string
  executionProviders: string[]
}): Promise<Loss> {
  const exact = await decode(options.exactDir, options)
  const found = await decode(options.dir, { ...options, codes: exact.codes })
  const { codebookSize, delays } = exact.music
  // Start tokens are the same in both by the delay pattern.
  const free = [...exact.codes.keys()].filter((i) => exact.codes[i] !== BigInt(codebookSize))
  const agreeing = free.filter((i) => found.codes[i] === exact.codes[i]).length
  const frames = steps - Math.max(...delays)
  const undo = (columns: BigInt64Array) => undoDelay(columns, { clip: 0, batch: 1, delays, frames })
  const sound = await decodeAudio(options, undo(exact.codes), exact.music.codebooks)
  const lossy = await decodeAudio(options, undo(found.codes), exact.music.codebooks)
  const pcmNoise = noise(lossy, sound)
  return {
    relative_logit_error: noise(found.logits, exact.logits),
    token_agreement: agreeing / free.length,
    pcm_decibels: pcmNoise === 0 ? null : -20 * Math.log10(pcmNoise),
  }
}

/** Greedy columns and logits; with `codes`, each step reads those instead of its own choice. */
async function decode(
  dir: string,
  { prompt, executionProviders, codes }: { prompt: string; executionProviders: string[]; codes?: BigInt64Array },
) {
  const { music }: MusicManifest = JSON.parse(readFileSync(join(dir, manifestFile), 'utf8'))
  const { codebooks, codebookSize } = music
  const tokenizer = createTextTokenizer(JSON.parse(readFileSync(join(dir, tokenizerFile), 'utf8')), music.maxTextTokens)
  const { ids } = tokenizer.encode(prompt)
  const mask = int64(
    ids.map(() => 1),
    [1, ids.length],
  )
  const encoder = await openGraph(join(dir, textEncoder.file), { executionProviders })
  const text = await encoder.run({
    [textEncoder.inputIds]: int64(ids, [1, ids.length]),
    [textEncoder.attentionMask]: mask,
  })
  await encoder.release()
  const decoder = await openGraph(join(dir, musicDecoder.file), { executionProviders })
  const columns = new BigInt64Array(steps * codebooks)
  const logits = new Float32Array(steps * codebooks * codebookSize)
  const cache = createAttentionCache(music, { batch: 1, steps })
  let read = new BigInt64Array(codebooks).fill(BigInt(codebookSize))
  for (let step = 0; step < steps; step++) {
    const outputs = await decoder.run({
      [musicDecoder.codes]: { type: 'int64', data: read, dims: [1, codebooks] },
      [musicDecoder.position]: int64([step], []),
      [musicDecoder.frameCounts]: int64([steps - Math.max(...music.delays)], [1]),
      [musicDecoder.uniforms]: float32([1, 1, codebooks]),
      ...(music.guided && { [musicDecoder.guidanceScale]: float32([], [music.guidanceScale]) }),
      [musicDecoder.temperature]: float32([], [1]),
      [musicDecoder.topK]: int64([1], []),
      [musicDecoder.attentionMask]: mask,
      [musicDecoder.crossKeys]: text[textEncoder.crossKeys]!,
      [musicDecoder.crossValues]: text[textEncoder.crossValues]!,
      ...cache.past(),
    })
    cache.append(outputs, 1)
    const chosen = outputs[musicDecoder.columns]!.data as BigInt64Array<ArrayBuffer>
    columns.set(chosen, step * codebooks)
    logits.set(outputs[musicDecoder.logits]!.data as Float32Array, step * codebooks * codebookSize)
    read = codes ? codes.slice(step * codebooks, (step + 1) * codebooks) : chosen
  }
  await decoder.release()
  return { music, codes: columns, logits }
}

async function decodeAudio(
  { exactDir, executionProviders }: { exactDir: string; executionProviders: string[] },
  codes: BigInt64Array,
  codebooks: number,
): Promise<Float32Array> {
  const graph = await openGraph(join(exactDir, audioDecoder.file), { executionProviders })
  const dims = [1, codebooks, codes.length / codebooks]
  const { pcm } = await graph.run({ [audioDecoder.codes]: { type: 'int64', data: codes, dims } })
  await graph.release()
  return pcm!.data as Float32Array
}

/** Root mean square of the difference over that of `expected`. */
function noise(found: Float32Array, expected: Float32Array): number {
  let difference = 0
  let power = 0
  for (let i = 0; i < expected.length; i++) {
    difference += (found[i]! - expected[i]!) ** 2
    power += expected[i]! ** 2
  }
  return Math.sqrt(difference / power)
}
