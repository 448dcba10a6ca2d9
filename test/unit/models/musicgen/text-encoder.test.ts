import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { textEncoder } from '#shared/model/graph.ts'
import { createTextTokenizer } from '../../../../services/consumer/musicgen/text-tokenizer.ts'
import golden from '../../../golden/musicgen.json' with { type: 'json' }
import { tolerance } from '../../../golden/tolerance.ts'
import { assertClose, createGoldenModel, floats } from './golden-model.ts'

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
    assertClose(outputs[textEncoder.hiddenStates]!.data, floats(golden.hidden_states), tolerance.state)
  })

  it('encodes a prompt beyond the farthest distance bucket as the reference does', async () => {
    const json = JSON.parse(readFileSync(join(model.dir, 'built', 'tokenizer.json'), 'utf8'))
    const { ids } = createTextTokenizer(json, 512).encode(golden.long_prompt)
    assert.ok(ids.length > 128)
    const { data, dims } = (await model.encodeText([ids]))[textEncoder.hiddenStates]!
    const width = dims[2]!
    const kept = (data as Float32Array).filter((_, i) => Math.floor(i / width) % golden.long_stride === 0)
    assertClose(kept, floats(golden.long_hidden_states), tolerance.state)
  })
})
