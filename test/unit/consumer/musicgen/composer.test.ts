import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { audioDecoder, musicDecoder, textEncoder } from '#shared/model/graph.ts'
import { type Clip, stepsPerChunk } from '../../../../services/consumer/musicgen/composer.ts'
import goldens from '../../../golden/musicgen.json' with { type: 'json' }
import type { CheckpointName } from '../../../golden/musicgen-checkpoints.ts'
import { tolerance } from '../../../golden/tolerance.ts'
import { assertClose, assertDecibels, createGoldenModel, every, floats } from '../../models/musicgen/golden-model.ts'
import { logitsOf, openComposer, type Recorded } from './recorded-composer.ts'

/** Codes of each clip [codebooks][frames]: what EnCodec is given, one clip after the other. */
function codesOf({ calls }: Recorded): number[][][] {
  return calls.map(({ inputs }) => {
    const { data, dims } = inputs[audioDecoder.codes]!
    const [, codebooks, frames] = dims as [number, number, number]
    return Array.from({ length: codebooks }, (_, k) => Array.from(data.slice(k * frames, (k + 1) * frames), Number))
  })
}

/** The reference's states of the batch, padded to its longest prompt, without the padding; and ours, made one by one. */
function heardStates({ calls }: Recorded, golden: { prompt_ids: number[][]; hidden_states: string }) {
  const longest = Math.max(...golden.prompt_ids.map((ids) => ids.length))
  const states = calls.map(({ outputs }) => outputs[textEncoder.hiddenStates]!)
  const width = states[0]!.dims[2]!
  const kept = [...floats(golden.hidden_states)].map((expected, i) => {
    const [token, place] = [Math.floor((i * goldens.state_stride) / width), (i * goldens.state_stride) % width]
    const [row, position] = [Math.floor(token / longest), token % longest]
    const isHeard = position < golden.prompt_ids[row]!.length
    return { expected, found: Number(states[row]!.data[position * width + place]), isHeard }
  })
  const heard = kept.filter(({ isHeard }) => isHeard)
  return {
    found: Float32Array.from(heard, ({ found }) => found),
    expected: Float32Array.from(heard, ({ expected }) => expected),
  }
}

for (const [name, golden] of Object.entries(goldens.cases)) {
  describe(`the composer, with the checkpoint ${name}`, () => {
    let model: ReturnType<typeof createGoldenModel>
    let composer: Awaited<ReturnType<typeof openComposer>>
    let clips: Clip[]
    before(async () => {
      model = createGoldenModel(name as CheckpointName)
      composer = await openComposer(model)
      const { delays, frameRate } = model.manifest.music
      const seconds = (goldens.steps - Math.max(...delays)) / frameRate
      clips = golden.prompts.map((prompt, i) => ({ prompt, seed: goldens.clip_seeds[i]!, seconds }))
    })
    after(async () => {
      await composer.close()
      model.remove()
    })

    for (const provider of ['cpu', 'cuda']) {
      it(`gives the states, logits, codes and sound of the reference, greedily, in chunks as for ${provider}`, async () => {
        const pcm = await composer.compose(clips, { topK: 1, chunk: stepsPerChunk(provider) })
        const { graphs } = composer
        assert.equal(graphs.decoder.calls.length, provider === 'cpu' ? 2 : 1)
        const { found, expected } = heardStates(graphs.textEncoder, golden)
        assertClose(found, expected, tolerance.state)
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
    }

    it('goes on to the last of those that are still wanted', async () => {
      const [clip] = clips as [Clip, ...Clip[]]
      const alone = await composer.compose([clip], { chunk: 20 })
      const giveUp = new AbortController()
      const signals = [new AbortController().signal, giveUp.signal]
      const longer = { ...clip, seconds: 3 * clip.seconds }
      const pcm = await composer.compose([clip, longer], { chunk: 20, signals, onProgress: () => giveUp.abort() })
      assert.deepEqual(pcm, alone)
      const { calls } = composer.graphs.decoder
      assert.deepEqual(
        calls.map(({ wanted }) => wanted),
        calls.map(() => undefined),
      )
    })

    it('gives no sound where the model’s numbers are not finite', async () => {
      const composed = composer.compose(clips, { temperature: Number.NaN })
      await assert.rejects(composed, /the logits of the music model are not finite/)
    })

    it('has only the columns of the last chunk cross from the device', async () => {
      await composer.compose(clips)
      assert.deepEqual(
        composer.graphs.decoder.calls.map(({ wanted }) => wanted),
        [undefined, [musicDecoder.columns]],
      )
    })

    it('samples the codes that the reference samples with the same draws', async () => {
      await composer.compose(clips)
      assert.deepEqual(codesOf(composer.graphs.audioDecoder), golden.sampled)
    })
  })
}
