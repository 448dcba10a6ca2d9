import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createUniform } from '../../../../services/consumer/musicgen/random.ts'

const draw = (seed: number, count: number) => {
  const next = createUniform(seed)
  return Array.from({ length: count }, next)
}

test('the same seed draws the same numbers, on every machine', () => {
  assert.deepEqual(draw(1, 1000), draw(1, 1000))
  assert.deepEqual(draw(1, 3), [0.5636717677116394, 0.5851113200187683, 0.8959073424339294])
})

test('draws stay in [0, 1), are exact in float32 and fill ten bins evenly', () => {
  const bins = new Array<number>(10).fill(0)
  for (const value of draw(20_240_229, 100_000)) {
    assert.ok(value >= 0 && value < 1)
    assert.equal(Math.fround(value), value)
    bins[Math.floor(value * 10)]!++
  }
  // Chi-squared with 9 degrees of freedom stays below 27.9 with probability 0.999.
  const chiSquared = bins.reduce((sum, count) => sum + (count - 10_000) ** 2 / 10_000, 0)
  assert.ok(chiSquared < 27.9, `chi-squared ${chiSquared}`)
})

test('neighbouring seeds draw unrelated numbers', () => {
  for (const [low, high] of [
    [0, 1],
    [1, 2],
    [2 ** 32 - 1, 0],
  ] as const) {
    const [a, b] = [draw(low, 10_000), draw(high, 10_000)]
    const correlation = a.reduce((sum, value, index) => sum + (value - 0.5) * (b[index]! - 0.5), 0) / 10_000 / (1 / 12)
    assert.ok(Math.abs(correlation) < 0.04, `seeds ${low} and ${high}: correlation ${correlation}`)
  }
})
