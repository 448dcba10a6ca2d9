import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAttentionCache } from '../../../../services/consumer/musicgen/attention-cache.ts'
import type { Tensor } from '../../../../services/consumer/onnx/graph.ts'

const music = {
  ...{ layers: 2, heads: 3, headWidth: 2, guided: true, guidanceScale: 3, topK: 1, temperature: 1 },
  ...{ codebooks: 1, codebookSize: 4, delays: [0], frameRate: 50, sampleRate: 100, channels: 1 },
  ...{ maxTextTokens: 8, textPadToken: 0 },
}
const stretches = 2 * 3

/** Each value says where it belongs: tensor, stretch (row and head), time, place in the head. */
const value = (tensor: number, stretch: number, time: number, place: number) =>
  1000 * tensor + 100 * stretch + 10 * time + place

const names = ['keys.0', 'values.0', 'keys.1', 'values.1']

function made(from: number, steps: number): Record<string, Tensor> {
  return Object.fromEntries(
    names.map((name, tensor) => [`new_${name}`, { type: 'float32', ...expected(tensor, from, steps) }]),
  )
}

function expected(tensor: number, from: number, steps: number) {
  const data = Float32Array.from({ length: stretches * steps * 2 }, (_, i) =>
    value(tensor, Math.floor(i / 2 / steps), from + (Math.floor(i / 2) % steps), i % 2),
  )
  return { data, dims: [2, 3, steps, 2] }
}

test('grows in place to what all steps have made, layer by layer, row by row, head by head', () => {
  const cache = createAttentionCache(music, { batch: 1, steps: 6 })
  assert.deepEqual(cache.past()['past_keys.1'], { type: 'float32', data: new Float32Array(0), dims: [2, 3, 0, 2] })
  let time = 0
  for (const steps of [3, 1, 2]) {
    cache.append(made(time, steps), steps)
    time += steps
    for (const [tensor, name] of names.entries()) {
      assert.deepEqual(cache.past()[`past_${name}`], { type: 'float32', ...expected(tensor, 0, time) })
    }
  }
  assert.throws(() => cache.append(made(6, 1), 1), /room for 6 steps, not 7/)
})
