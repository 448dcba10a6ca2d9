import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { textEncoder } from '#shared/model/graph.ts'
import { createTextTokenizer } from '../../../../services/consumer/musicgen/text-tokenizer.ts'
import goldens from '../../../golden/musicgen.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'
import { assertClose, createGoldenModel, every, floats } from './golden-model.ts'

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
})
