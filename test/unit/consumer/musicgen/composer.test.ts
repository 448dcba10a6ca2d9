import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { audioDecoder, musicDecoder, textEncoder } from '#shared/model/graph.ts'
import { tokenizerFile } from '#shared/model/manifest.ts'
import { type Clip, createComposer, type Pcm } from '../../../../services/consumer/musicgen/composer.ts'
import { createTextTokenizer } from '../../../../services/consumer/musicgen/text-tokenizer.ts'
import { type Graph, openGraph, type Tensor } from '../../../../services/consumer/onnx/graph.ts'
import goldens from '../../../golden/musicgen.json' with { type: 'json' }
import type { CheckpointName } from '../../../golden/musicgen-checkpoints.ts'
import { tolerance } from '../../../golden/tolerance.ts'
import { assertClose, assertDecibels, createGoldenModel, every, floats } from '../../models/musicgen/golden-model.ts'

/** From prompt to PCM through the graphs, with a record of what goes in and comes out of each. */
async function openComposer(model: ReturnType<typeof createGoldenModel>) {
  const folder = join(model.dir, 'built')
  const open = async (file: string) => record(await openGraph(join(folder, file), { executionProviders: ['cpu'] }))
  const graphs = {
    textEncoder: await open(textEncoder.file),
    decoder: await open(musicDecoder.file),
    audioDecoder: await open(audioDecoder.file),
  }
  const tokenizerJson = JSON.parse(readFileSync(join(folder, tokenizerFile), 'utf8'))

  async function compose(clips: Clip[], sampling: { topK?: number } = {}): Promise<Pcm[]> {
    for (const { calls } of Object.values(graphs)) calls.length = 0
    const music = { ...model.manifest.music, ...sampling }
    const tokenizer = createTextTokenizer(tokenizerJson, music.maxTextTokens)
    const composer = createComposer({ manifest: music, tokenizer, graphs })
    const signal = new AbortController().signal
    const pcm: Pcm[] = []
    const commissions = clips.map((clip, i) => ({
      clip,
      signal,
      onProgress() {},
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
    model.remove()
  }
  return { graphs, compose, close }
}

function record(graph: Graph) {
  const calls: { inputs: Record<string, Tensor>; outputs: Record<string, Tensor> }[] = []
  return {
    calls,
    async run(inputs: Record<string, Tensor>) {
      const outputs = await graph.run(inputs)
      calls.push({ inputs, outputs })
      return outputs
    },
    release: () => graph.release(),
  }
}

type Recorded = ReturnType<typeof record>

/** Logits of each step [batch x codebooks x codebookSize]. */
function logitsOf({ calls }: Recorded): Float32Array[] {
  return calls.flatMap(({ outputs }) => {
    const { data, dims } = outputs[musicDecoder.logits]!
    const size = data.length / dims[0]!
    return Array.from({ length: dims[0]! }, (_, step) => data.slice(step * size, (step + 1) * size) as Float32Array)
  })
}

/** Codes of each clip [codebooks][frames]: what EnCodec is given, one clip after the other. */
function codesOf({ calls }: Recorded): number[][][] {
  return calls.map(({ inputs }) => {
    const { data, dims } = inputs[audioDecoder.codes]!
    const [, codebooks, frames] = dims as [number, number, number]
    return Array.from({ length: codebooks }, (_, k) => Array.from(data.slice(k * frames, (k + 1) * frames), Number))
  })
}

/** Said at once, where a comparison by the assertion would list the differences for minutes. */
function isSame(one: Float32Array, other: Float32Array): boolean {
  return one.length === other.length && one.every((sample, i) => sample === other[i])
}

for (const [name, golden] of Object.entries(goldens.cases)) {
  describe(`the composer, with the checkpoint ${name}`, () => {
    let composer: Awaited<ReturnType<typeof openComposer>>
    let clips: Clip[]
    before(async () => {
      const model = createGoldenModel(name as CheckpointName)
      composer = await openComposer(model)
      const { delays, frameRate } = model.manifest.music
      const seconds = (goldens.steps - Math.max(...delays)) / frameRate
      clips = golden.prompts.map((prompt, i) => ({ prompt, seed: goldens.clip_seeds[i]!, seconds }))
    })
    after(() => composer.close())

    it('gives the states, logits, codes and sound of the reference, greedily', async () => {
      const pcm = await composer.compose(clips, { topK: 1 })
      const { graphs } = composer
      const [encoded] = graphs.textEncoder.calls
      const states = encoded!.outputs[textEncoder.hiddenStates]!.data as Float32Array
      assertClose(every(goldens.state_stride, states), floats(golden.hidden_states), tolerance.state)
      const logits = logitsOf(graphs.decoder)
      assert.equal(logits.length, goldens.steps)
      const kept = goldens.logit_steps.flatMap((step) => [...every(goldens.logit_stride, logits[step]!)])
      assertClose(Float32Array.from(kept), floats(golden.logits), tolerance.logit)
      assert.deepEqual(codesOf(graphs.audioDecoder), golden.codes)
      for (const [i, tracks] of pcm.entries()) {
        const sound = Float32Array.from(tracks.flatMap((track) => [...track]))
        assertDecibels(every(goldens.pcm_stride, sound), floats(golden.pcm[i]!), tolerance.pcmDecibels)
      }
    })

    it('samples the codes that the reference samples with the same draws', async () => {
      await composer.compose(clips)
      assert.deepEqual(codesOf(composer.graphs.audioDecoder), golden.sampled)
    })

    it('gives each of three clips of other lengths what it gets alone', async () => {
      const lengths = [0.5, 0.02, 1.22]
      const batch = lengths.map((seconds, i) => ({ ...clips[i % clips.length]!, seed: i, seconds }))
      const together = await composer.compose(batch)
      for (const [i, clip] of batch.entries()) {
        const [alone] = await composer.compose([clip])
        for (const [channel, track] of alone!.entries()) assert.ok(isSame(track, together[i]![channel]!), `clip ${i}`)
      }
    })
  })
}
