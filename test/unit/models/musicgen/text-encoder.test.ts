import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { textEncoder } from '#shared/model/graph.ts'
import { createTextTokenizer } from '#shared/text-tokenizer.ts'
import { tinyShape, writeRandomMusicgen } from '../../../../services/models/musicgen/tiny.ts'
import { createRandomWeights } from '../../../../services/models/random-weights.ts'
import goldens from '../../../golden/musicgen.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'
import { assertClose, createGoldenModel, every, floats, relativeError } from './golden-model.ts'

const golden = goldens.cases.mono

describe('MusicGen’s text encoder', () => {
  let model: ReturnType<typeof createGoldenModel>
  before(() => {
    model = createGoldenModel()
  })
  after(() => model.remove())

  it('has a tokenizer whose ids are those of the reference implementation', () => {
    const json = JSON.parse(readFileSync(join(model.dir, 'built', 'tokenizer.json'), 'utf8'))
    const tokenizer = createTextTokenizer(json, 512)
    assert.deepEqual(
      golden.prompts.map((prompt) => tokenizer.encode(prompt).ids),
      golden.prompt_ids,
    )
  })

  it('encodes a batch of prompts of different lengths as the reference does', async () => {
    const outputs = await model.encodeText(golden.prompt_ids)
    const states = outputs[textEncoder.hiddenStates]!.data as Float32Array
    assertClose(every(goldens.state_stride, states), floats(golden.hidden_states), tolerance.state)
  })

  it('keeps its states in 8 bits where one number of the feed-forward is a thousand times the others, as T5’s are', async () => {
    const checkpointDir = join(model.dir, 'outlying')
    const random = createRandomWeights(3)
    const { d_model: width, d_ff: feedForward } = tinyShape.text
    writeRandomMusicgen(checkpointDir, {
      shape: tinyShape,
      random: (name, dims, spread) => {
        const tensor = random(name, dims, spread)
        if (name.endsWith('wi.weight')) for (let i = 0; i < width; i++) tensor.data[i]! *= 1000
        if (name.endsWith('wo.weight')) for (let i = 0; i < width; i++) tensor.data[i * feedForward]! /= 1000
        return tensor
      },
    })
    const states = async (precision: 'fp32' | 'int8') => {
      const name = `outlying-${precision}`
      model.build(checkpointDir, name, precision)
      const outputs = await model.encodeText(golden.prompt_ids, name)
      return outputs[textEncoder.hiddenStates]!.data as Float32Array
    }
    const loss = relativeError(await states('int8'), await states('fp32'))
    assert.ok(loss < 0.05, `the states differ by ${loss} of their size`)
  })
})
