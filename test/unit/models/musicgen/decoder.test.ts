import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import goldens from '../../../golden/musicgen.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'
import { assertClose, codebookSize, codebooks, createGoldenModel, edit, every, floats } from './golden-model.ts'

const golden = goldens.cases.mono

describe('MusicGen’s decoder', () => {
  let model: ReturnType<typeof createGoldenModel>
  before(() => {
    model = createGoldenModel()
  })
  after(() => model.remove())

  it('decodes greedily with guidance to the codes and logits of the reference, whatever the chunks', async () => {
    for (const chunks of [[64], [1, 2, 30, 31]]) {
      const { columns, logits, frames } = await model.decode({
        ids: golden.prompt_ids,
        chunks,
        topK: 1,
        uniform: () => 0.99,
      })
      const expected = floats(golden.logits)
      const perStep = expected.length / goldens.logit_steps.length
      for (const [i, step] of goldens.logit_steps.entries()) {
        const kept = every(goldens.logit_stride, logits[step]!)
        const reference = expected.slice(i * perStep, (i + 1) * perStep)
        assertClose(kept, reference, tolerance.logit)
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
    const { columns } = await model.decode({
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

  it('draws from the likeliest codes, in their order, by the uniform numbers it is given', async () => {
    const [topK, temperature] = [5, 0.8]
    const uniform = (step: number, i: number) => ((step * 37 + i * 11) % 100) / 100
    const { columns, logits } = await model.decode({
      ids: golden.prompt_ids,
      chunks: [4, 6],
      topK,
      temperature,
      uniform,
    })
    const perStep = 2 * codebooks
    for (const [at, code] of columns.entries()) {
      const [step, i] = [Math.floor(at / perStep), at % perStep]
      if (code === codebookSize) continue
      const row = logits[step]!.slice(i * codebookSize, (i + 1) * codebookSize)
      const least = row.toSorted().at(-topK)!
      const weights = row.map((logit) => (logit < least ? 0 : Math.exp((logit - least) / temperature)))
      const sum = weights.reduce((a, b) => a + b)
      const passed = (last: number) => weights.slice(0, last + 1).reduce((a, b) => a + b) > uniform(step, i) * sum
      assert.equal(
        code,
        weights.findIndex((_, last) => passed(last)),
        `step ${step}, entry ${i}`,
      )
    }
  })

  it('takes a draw just under 1, and a topK beyond the codebook', async () => {
    const below = 1 - 2 ** -24
    const { columns } = await model.decode({ ids: golden.prompt_ids, chunks: [8], topK: 1e6, uniform: () => below })
    assert.ok(columns.every((code) => code >= 0 && code <= codebookSize))
  })

  it('gives each prompt of a batch what it gets alone', async () => {
    const uniform = (step: number, i: number) => ((step * 37 + (i % codebooks) * 11) % 100) / 100
    const options = { chunks: [16, 16], topK: 250, uniform }
    const together = await model.decode({ ids: golden.prompt_ids, ...options })
    for (const [clip, ids] of golden.prompt_ids.entries()) {
      const alone = await model.decode({ ids: [ids], ...options })
      const ours = together.columns.filter((_, i) => Math.floor(i / codebooks) % golden.prompt_ids.length === clip)
      assert.deepEqual(ours, alone.columns)
    }
  })

  it('does without unconditional rows where the checkpoint asks for no guidance', async () => {
    const unguided = model.copyCheckpoint('unguided')
    edit(unguided, 'generation_config.json', (config) => Object.assign(config, { guidance_scale: 1 }))
    model.build(unguided, 'built-unguided')
    const options = { ids: golden.prompt_ids, chunks: [5, 5], topK: 1, uniform: () => 0 }
    const found = await model.decode({ ...options, model: 'built-unguided' })
    const expected = await model.decode({ ...options, guidanceScale: 1 })
    assert.deepEqual(found.columns, expected.columns)
  })
})
