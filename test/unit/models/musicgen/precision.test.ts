import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildMusicgen } from '../../../../services/models/musicgen/build.ts'
import golden from '../../../golden/musicgen.json' with { type: 'json' }
import { precisionLoss } from '../../../golden/tolerance.ts'
import { createGoldenModel, relativeError } from './golden-model.ts'

const steps = 12
// Without frames of their own all clips read start tokens, so every precision answers to the same columns.
const sameColumns = {
  ids: golden.cases.mono.prompt_ids,
  chunks: [5, 7],
  topK: 1,
  uniform: () => 0,
  frameCounts: [0, 0],
}

describe('MusicGen in lower precision', () => {
  let model: ReturnType<typeof createGoldenModel>
  let exact: Float32Array
  before(async () => {
    model = createGoldenModel()
    exact = flatten((await model.decode(sameColumns)).logits)
  })
  after(() => model.remove())

  for (const precision of ['fp16', 'int8', 'int4'] as const) {
    it(`stays close to float32 in ${precision}`, async () => {
      const outDir = join(model.dir, precision)
      const source = { repository: 'none', revision: 'seed', generated: true }
      const { checkpointDir } = model
      buildMusicgen({ checkpointDir, outDir, name: 'x', source, license: 'MIT', precision, withLogits: true })
      assert.equal(JSON.parse(readFileSync(join(outDir, 'manifest.json'), 'utf8')).precision, precision)
      const { logits } = await model.decode({ ...sameColumns, model: precision })
      assert.equal(logits.length, steps)
      const loss = relativeError(flatten(logits), exact)
      assert.ok(loss < precisionLoss[precision], `logits differ by ${loss} of their size`)
    })
  }
})

function flatten(logits: Float32Array[]): Float32Array {
  return Float32Array.from(logits.flatMap((step) => [...step]))
}
