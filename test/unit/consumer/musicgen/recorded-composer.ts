import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { audioDecoder, musicDecoder, textEncoder } from '#shared/model/graph.ts'
import { tokenizerFile } from '#shared/model/manifest.ts'
import { createTextTokenizer } from '#shared/text-tokenizer.ts'
import { type Clip, createComposer, type Pcm, stepsPerChunk } from '../../../../services/consumer/musicgen/composer.ts'
import { type Graph, openGraph, type Tensor } from '../../../../services/consumer/onnx/graph.ts'
import type { createGoldenModel } from '../../models/musicgen/golden-model.ts'

/** From prompt to PCM through the graphs, with a record of what goes in and comes out of each. */
export async function openComposer(model: ReturnType<typeof createGoldenModel>, name = 'built') {
  const folder = join(model.dir, name)
  const open = async (file: string) => record(await openGraph(join(folder, file), { executionProviders: ['cpu'] }))
  const graphs = {
    textEncoder: await open(textEncoder.file),
    decoder: await open(musicDecoder.file),
    audioDecoder: await open(audioDecoder.file),
  }
  const tokenizerJson = JSON.parse(readFileSync(join(folder, tokenizerFile), 'utf8'))

  async function compose(
    clips: Clip[],
    {
      chunk = stepsPerChunk('cpu'),
      onProgress = () => {},
      signals = [],
      ...sampling
    }: {
      topK?: number
      temperature?: number
      chunk?: number
      onProgress?: (index: number) => void
      signals?: AbortSignal[]
    } = {},
  ): Promise<Pcm[]> {
    for (const { calls } of Object.values(graphs)) calls.length = 0
    const music = { ...model.manifest.music, ...sampling }
    const tokenizer = createTextTokenizer(tokenizerJson, music.maxTextTokens)
    const composer = createComposer({ manifest: music, tokenizer, graphs, stepsPerChunk: chunk })
    const signal = new AbortController().signal
    const pcm: Pcm[] = []
    const commissions = clips.map((clip, i) => ({
      clip,
      signal: signals[i] ?? signal,
      onProgress: () => onProgress(i),
      onWarning() {},
      onFinished: (tracks: Pcm) => {
        pcm[i] = tracks
      },
    }))
    await composer.compose(commissions, { signal })
    return pcm
  }

  async function close(): Promise<void> {
    for (const graph of Object.values(graphs)) await graph.release()
  }
  return { graphs, compose, close }
}

function record(graph: Graph) {
  const calls: { inputs: Record<string, Tensor>; wanted?: readonly string[]; outputs: Record<string, Tensor> }[] = []
  return {
    ...graph,
    calls,
    async run(inputs: Record<string, Tensor>, wanted?: readonly string[]) {
      // Tests read more than what the composer wants.
      const outputs = await graph.run(inputs)
      calls.push({ inputs, outputs, ...(wanted && { wanted }) })
      return wanted ? Object.fromEntries(wanted.map((name) => [name, outputs[name]!])) : outputs
    },
  }
}

export type Recorded = ReturnType<typeof record>

/** Logits of each step [batch x codebooks x codebookSize]. */
export function logitsOf({ calls }: Recorded): Float32Array[] {
  return calls.flatMap(({ outputs }) => {
    const { data, dims } = outputs[musicDecoder.logits]!
    const size = data.length / dims[0]!
    return Array.from({ length: dims[0]! }, (_, step) => data.slice(step * size, (step + 1) * size) as Float32Array)
  })
}
