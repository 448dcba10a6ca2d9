import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoffSeconds } from '../../../../services/consumer/pipeline/backoff.ts'

const backoff = { firstSeconds: 5, mostSeconds: 60 }

test('the wait doubles with every try up to the most', () => {
  const waits = [0, 1, 2, 3, 4, 5, 6, 2000].map((tries) => backoffSeconds(tries, backoff, () => 1))
  assert.deepEqual(waits, [5, 5, 10, 20, 40, 60, 60, 60])
})

test('the wait is at least half of that', () => {
  assert.equal(
    backoffSeconds(3, backoff, () => 0),
    10,
  )
})
