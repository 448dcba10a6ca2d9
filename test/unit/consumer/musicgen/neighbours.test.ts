import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { precisions } from '#shared/model/manifest.ts'
import type { Clip } from '../../../../services/consumer/musicgen/composer.ts'
import { createGoldenModel } from '../../models/musicgen/golden-model.ts'
import { logitsOf, openComposer } from './recorded-composer.ts'

const clips: Clip[] = [
  { prompt: 'slow, tender piano', seed: 0, seconds: 0.5 },
  { prompt: '', seed: 1, seconds: 0.02 },
  { prompt: 'warm strings and a solo cello, restless rhythm, '.repeat(12), seed: 2 ** 32 - 1, seconds: 1.22 },
  { prompt: 'a', seed: 3, seconds: 1 },
  { prompt: 'A Baroque march: bright trumpets, 120 bpm & heavy drums', seed: 4, seconds: 0.06 },
  { prompt: 'slow, tender piano', seed: 5, seconds: 0.74 },
  { prompt: 'fast jazz for bass, drums and trumpet', seed: 6, seconds: 0.3 },
  { prompt: 'solemn organ, 빠르게', seed: 7, seconds: 1.1 },
]
/** Other sizes with other clips in other places. */
const batches = [[0, 2], [2, 0, 1], [7, 2, 5, 4, 3], [...clips.keys()].reverse()]

for (const checkpoint of ['mono', 'unguided'] as const) {
  describe(`a clip in a batch, with the checkpoint ${checkpoint}`, () => {
    let model: ReturnType<typeof createGoldenModel>
    before(() => {
      model = createGoldenModel(checkpoint)
    })
    after(() => model.remove())

    for (const precision of precisions) {
      it(`has the logits and the sound that it has alone, to the last bit, in ${precision}`, async () => {
        model.build(model.checkpointDir, precision, precision)
        const { compose, graphs, close } = await openComposer(model, precision)
        /** What each clip was made of and became: logits of its own steps, then its sound. */
        const record = async (indexes: readonly number[]): Promise<Buffer[]> => {
          const sounds = await compose(indexes.map((index) => clips[index]!))
          const steps = logitsOf(graphs.decoder)
          return sounds.map((tracks, row) => {
            const { frameRate, delays } = model.manifest.music
            const own = Math.max(1, Math.round(clips[indexes[row]!]!.seconds * frameRate)) + Math.max(...delays)
            const ofClip = steps.slice(0, own).map((logits) => {
              const size = logits.length / indexes.length
              return logits.subarray(row * size, (row + 1) * size)
            })
            return Buffer.concat([...ofClip, ...tracks].map((values) => Buffer.from(Float32Array.from(values).buffer)))
          })
        }
        try {
          const alone: Buffer[] = []
          for (const index of clips.keys()) alone.push((await record([index]))[0]!)
          for (const indexes of batches) {
            for (const [row, found] of (await record(indexes)).entries()) {
              const index = indexes[row]!
              assert.ok(found.equals(alone[index]!), `clip ${index} among ${indexes}`)
            }
          }
        } finally {
          await close()
        }
      })
    }
  })
}
