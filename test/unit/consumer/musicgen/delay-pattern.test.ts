import assert from 'node:assert/strict'
import { test } from 'node:test'
import { frameCount, stepCount, undoDelay } from '../../../../services/consumer/musicgen/delay-pattern.ts'

test('ten seconds at 50 Hz are 500 frames and, with four codebooks, 503 steps', () => {
  assert.equal(frameCount(10, 50), 500)
  assert.equal(stepCount(500, [0, 1, 2, 3]), 503)
})

test('the shortest clip has one frame, and lengths outside of 0.02 to 30 s are refused', () => {
  assert.equal(frameCount(0.02, 50), 1)
  assert.equal(frameCount(0.02, 1), 1)
  assert.equal(frameCount(30, 50), 1500)
  for (const seconds of [0, 0.019, 30.01, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => frameCount(seconds, 50), { message: `a clip lasts 0.02 to 30 s; found ${seconds}` })
  }
})

for (const { name, delays } of [
  { name: 'mono', delays: [0, 1, 2, 3] },
  { name: 'stereo', delays: [0, 0, 1, 1, 2, 2, 3, 3] },
]) {
  test(`undoing the ${name} delay gathers each frame from its column of its own clip`, () => {
    const [batch, frames, codebooks] = [2, 4, delays.length]
    const columns = new BigInt64Array(stepCount(frames, delays) * batch * codebooks).fill(-1n)
    const value = (clip: number, codebook: number, frame: number) => BigInt(100 * clip + 10 * codebook + frame)
    for (let clip = 0; clip < batch; clip++)
      for (const [codebook, delay] of delays.entries())
        for (let frame = 0; frame < frames; frame++)
          columns[((frame + delay) * batch + clip) * codebooks + codebook] = value(clip, codebook, frame)
    for (let clip = 0; clip < batch; clip++) {
      const expected = delays.flatMap((_, codebook) => [0, 1, 2, 3].map((frame) => value(clip, codebook, frame)))
      assert.deepEqual([...undoDelay(columns, { clip, batch, delays, frames })], expected)
    }
  })
}

test('a clip shorter than its batch leaves the later columns out', () => {
  const columns = BigInt64Array.from({ length: stepCount(5, [0, 1]) * 2 }, (_, index) => BigInt(index))
  assert.deepEqual([...undoDelay(columns, { clip: 0, batch: 1, delays: [0, 1], frames: 2 })], [0n, 2n, 3n, 5n])
})
