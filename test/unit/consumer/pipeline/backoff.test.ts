import assert from 'node:assert/strict'
import { test } from 'node:test'
import { backoffSeconds, outageBackoff } from '../../../../services/consumer/pipeline/backoff.ts'

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

for (const leaseSeconds of [3, 10, 60, 3600]) {
  test(`with leases of ${leaseSeconds} s an outage of 4 days leaves a message receives to spare, of the 1,000 that SQS allows`, () => {
    let receives = 0
    for (let seconds = 0; seconds < 4 * 86_400; receives++) {
      seconds += backoffSeconds(receives + 1, outageBackoff(leaseSeconds), () => 0)
    }
    assert.ok(receives < 800, `${receives} receives`)
  })
}
