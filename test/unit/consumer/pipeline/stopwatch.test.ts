import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startStopwatch } from '../../../../services/consumer/pipeline/stopwatch.ts'

const uploadedAt = Date.parse('2026-01-02T03:04:05.000Z')

test('laps and the total are whole milliseconds, the total from the upload on', () => {
  let time = uploadedAt + 100.4
  const stopwatch = startStopwatch({ eventTime: '2026-01-02T03:04:05.000Z', now: () => time })
  assert.equal(stopwatch.queueMs, 100)
  time += 10.2
  assert.equal(stopwatch.lap(), 10)
  time += 20.3
  assert.equal(stopwatch.lap(), 20)
  assert.equal(stopwatch.total(), 131)
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
