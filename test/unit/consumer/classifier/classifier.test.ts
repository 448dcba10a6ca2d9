import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createClassifier, rank } from '../../../../services/consumer/classifier/classifier.ts'
import type { Tensor } from '../../../../services/consumer/onnx/graph.ts'

const image = {
  resize: 2,
  crop: 2,
  keepAspect: true,
  resample: 'bicubic' as const,
  mean: [0, 0, 0] as [number, number, number],
  deviation: [1, 1, 1] as [number, number, number],
}

const manifest = {
  graphs: [{ file: 'image-classifier.onnx', image }],
  genres: ['portrait', 'still life'],
  styles: ['A', 'B', 'C', 'D', 'E', 'F'],
  embeddingWidth: 2,
}

const float32 = (...values: number[]): Tensor => ({
  type: 'float32',
  data: Float32Array.from(values),
  dims: [1, values.length],
})

const outputs = {
  genre_probabilities: float32(0.25, 0.75),
  style_probabilities: float32(0.0625, 0.25, 0.0625, 0.5, 0.03125, 0.09375),
  embedding: float32(0.6, 0.8),
}

describe('createClassifier', () => {
  it('names the most probable genre and the five most probable styles', async () => {
    const seen: unknown[] = []
    const graph = {
      outputs: ['last_hidden_state', ...Object.keys(outputs)],
      async run(...asked: unknown[]) {
        seen.push(asked)
        return outputs
      },
    }
    const pixels = new Float32Array(12).fill(0.5)
    assert.deepEqual(await createClassifier({ manifest, graphs: [graph] }).classify([pixels]), {
      genre: { name: 'still life', score: 0.75 },
      styles: [
        { name: 'D', score: 0.5 },
        { name: 'B', score: 0.25 },
        { name: 'F', score: 0.09375 },
        { name: 'A', score: 0.0625 },
        { name: 'C', score: 0.0625 },
      ],
      embedding: Float32Array.of(0.6, 0.8),
    })
    const inputs = { pixel_values: { type: 'float32', data: pixels, dims: [1, 3, 2, 2] } }
    assert.deepEqual(seen, [[inputs, Object.keys(outputs)]])
  })

  it('refuses what the graph should never give', async () => {
    const classify = (changed: Record<string, Tensor>) =>
      createClassifier({
        manifest,
        graphs: [{ outputs: Object.keys(outputs), run: async () => ({ ...outputs, ...changed }) }],
      }).classify([new Float32Array(12)])
    await assert.rejects(
      classify({ genre_probabilities: float32(1) }),
      /float32 \[1,1\] as genre_.*expected float32 \[1,2\]/,
    )
    await assert.rejects(classify({ embedding: float32(Number.NaN, 0) }), /embedding that are not all finite/)
  })
})

describe('rank', () => {
  it('sorts by probability and leaves equals in order', () => {
    assert.deepEqual(
      rank(['a', 'b', 'c'], Float32Array.of(0.25, 0.5, 0.25)).map(({ name }) => name),
      ['b', 'a', 'c'],
    )
  })
})
