import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ceilingOf, percentile, stack, type Timings, workStages } from '../../../../services/api/web/stage-timings.ts'

const timings: Timings = {
  key: 'uploads/1.jpg',
  take: 0,
  finished_at: '2026-01-02T03:04:05.678Z',
  queue_ms: 90_000,
  fetch_ms: 100,
  classify_ms: 300,
  generate_ms: 1_500,
  store_ms: 100,
  total_ms: 92_000,
}

test('a percentile is one of the values, and that of none is not known', () => {
  const values = [5, 1, 4, 2, 3]
  assert.equal(percentile(values, 0.5), 3)
  assert.equal(percentile(values, 0.95), 5)
  assert.equal(percentile(values, 1), 5)
  assert.equal(percentile(values, 0), 1)
  assert.deepEqual(values, [5, 1, 4, 2, 3])
  assert.equal(percentile([7], 0.5), 7)
  assert.equal(percentile([], 0.5), undefined)
  assert.equal(
    percentile(
      Array.from({ length: 100 }, (_, index) => index + 1),
      0.95,
    ),
    95,
  )
})

test('the top of a plot is a round number that nothing exceeds', () => {
  assert.deepEqual(
    [0, 0.5, 1, 1.1, 10, 11, 20, 999, 1_000, 2_001, 7_000].map(ceilingOf),
    [1, 1, 1, 2, 10, 20, 20, 1_000, 1_000, 5_000, 10_000],
  )
})

test('the stages of a result stand on one another, the first at the bottom', () => {
  const { bars, ceiling } = stack([timings], workStages)
  assert.equal(ceiling, 2_000)
  const rounded = bars.map(({ stage, y, height }) => [stage, Number(y.toFixed(3)), Number(height.toFixed(3))])
  assert.deepEqual(rounded, [
    ['fetch', 0.95, 0.05],
    ['classify', 0.8, 0.15],
    ['generate', 0.05, 0.75],
    ['store', 0, 0.05],
  ])
})

test('the newest result is on the right, and few results are no wider than their place among 25', () => {
  const places = (count: number) => stack(Array(count).fill(timings), ['queue']).bars.map(({ x, width }) => [x, width])
  assert.deepEqual(places(2), [
    [0.96, 0.04],
    [0.92, 0.04],
  ])
  assert.equal(places(100).length, 100)
  const [leftmost, width] = places(100).at(-1)!
  assert.ok(Math.abs(leftmost!) < 1e-9)
  assert.equal(width, 0.01)
})

test('without results there is nothing to plot', () => {
  assert.deepEqual(stack([], workStages), { bars: [], ceiling: 1 })
})
