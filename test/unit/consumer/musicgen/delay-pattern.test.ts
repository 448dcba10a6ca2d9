import assert from 'node:assert/strict'
import { test } from 'node:test'
import { frameCount, stepCount, undoDelay } from '../../../../services/consumer/musicgen/delay-pattern.ts'

test('ten seconds at 50 Hz are 500 frames and, with four codebooks, 503 steps', () => {
  assert.equal(frameCount(10, 50), 500)
  assert.equal(stepCount(500, 4), 503)
})

test('the shortest clip has one frame', () => {
  assert.equal(frameCount(0.001, 50), 1)
})

test('undoing the delay gathers frame f of codebook k from column f + k + 1 of its own clip', () => {
  const [batch, codebooks, frames] = [2, 3, 4]
  const columns = new BigInt64Array(stepCount(frames, codebooks) * batch * codebooks).fill(-1n)
  const value = (clip: number, codebook: number, frame: number) => BigInt(100 * clip + 10 * codebook + frame)
  for (let clip = 0; clip < batch; clip++)
    for (let codebook = 0; codebook < codebooks; codebook++)
      for (let frame = 0; frame < frames; frame++)
        columns[((frame + codebook) * batch + clip) * codebooks + codebook] = value(clip, codebook, frame)
  for (let clip = 0; clip < batch; clip++) {
    const expected = [0, 1, 2].flatMap((codebook) => [0, 1, 2, 3].map((frame) => value(clip, codebook, frame)))
    assert.deepEqual([...undoDelay(columns, { clip, batch, codebooks, frames })], expected)
  }
})

test('a clip shorter than its batch leaves the later columns out', () => {
  const columns = BigInt64Array.from({ length: stepCount(5, 2) * 2 }, (_, index) => BigInt(index))
  assert.deepEqual([...undoDelay(columns, { clip: 0, batch: 1, codebooks: 2, frames: 2 })], [0n, 2n, 3n, 5n])
})
