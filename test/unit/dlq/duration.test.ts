import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDuration, readDuration } from '../../../services/dlq/duration.ts'

test('durations are a number and a unit', () => {
  assert.deepEqual(['90s', '30m', '2h', '3d', '1w'].map(readDuration), [90e3, 1800e3, 7200e3, 259_200e3, 604_800e3])
  assert.deepEqual(['', '5', 'm', '-1m', '1.5h', '1 h', '5M'].map(readDuration), Array(7).fill(undefined))
  assert.deepEqual([-5, 999, 59_999, 3_600_000, 1e9].map(formatDuration), ['0s', '0s', '59s', '1h', '1w'])
})
