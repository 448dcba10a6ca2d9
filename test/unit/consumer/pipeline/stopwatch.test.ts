import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startStopwatch } from '../../../../services/consumer/pipeline/stopwatch.ts'

const uploadedAt = Date.parse('2026-01-02T03:04:05.000Z')

test('stages and the total are whole milliseconds, the total from the upload on', () => {
  let time = uploadedAt + 100.4
  const stopwatch = startStopwatch({ eventTime: '2026-01-02T03:04:05.000Z', now: () => time })
  assert.equal(stopwatch.queueMs, 100)
  stopwatch.begin('fetch')
  time += 10.2
  stopwatch.begin('classify')
  time += 20.3
  stopwatch.end()
  time += 1
  assert.deepEqual([stopwatch.milliseconds('fetch'), stopwatch.milliseconds('classify')], [10, 20])
  assert.equal(stopwatch.milliseconds('store'), 0)
  assert.equal(stopwatch.total(), 132)
})

test('a stage lasts until the next begins or the work ends', () => {
  let time = uploadedAt
  const stopwatch = startStopwatch({ eventTime: '2026-01-02T03:04:05.000Z', now: () => time })
  stopwatch.begin('claim')
  time += 5
  stopwatch.begin('fetch')
  time += 5
  stopwatch.end()
  stopwatch.end()
  assert.deepEqual(stopwatch.stages, [
    { stage: 'claim', startedAt: uploadedAt, endedAt: uploadedAt + 5 },
    { stage: 'fetch', startedAt: uploadedAt + 5, endedAt: uploadedAt + 10 },
  ])
})

for (const [eventTime, queueMs] of [
  ['2026-01-02T03:04:06.000Z', 0],
  ['yesterday', 0],
  ['+275760-09-13T00:00:00.000Z', 0],
  ['2025-11-01T00:00:00.000Z', 2 ** 32 - 1],
  ['-271821-04-20T00:00:00.000Z', 2 ** 32 - 1],
] as const) {
  test(`an upload at ${eventTime} has waited for ${queueMs} ms`, () => {
    const stopwatch = startStopwatch({ eventTime, now: () => uploadedAt })
    assert.deepEqual([stopwatch.queueMs, stopwatch.total()], [queueMs, queueMs])
  })
}
