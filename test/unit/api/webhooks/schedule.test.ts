import assert from 'node:assert/strict'
import { test } from 'node:test'
import { retrySeconds } from '../../../../services/api/webhooks/schedule.ts'

const now = Date.UTC(2026, 0, 2)
const least = { random: () => 0, now }

test('ten tries over three days, then no more', () => {
  const delays = Array.from({ length: 11 }, (_, index) => retrySeconds(index + 1, least))
  assert.deepEqual(delays, [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, undefined, undefined])
})

test('jitter adds up to a tenth', () => {
  assert.equal(retrySeconds(2, { random: () => 0.5, now }), 315)
  assert.ok(retrySeconds(2, { random: () => 0.999, now })! < 330)
})

for (const [retryAfter, seconds] of [
  ['120', 300],
  ['900', 900],
  ['0', 300],
  ['-5', 300],
  ['soon', 300],
  ['', 300],
  ['99999999999999999999', 86_400],
  [new Date(now + 600_000).toUTCString(), 600],
  [new Date(now - 600_000).toUTCString(), 300],
  ['Fri, 31 Dec 9999 23:59:59 GMT', 86_400],
] as const) {
  test(`Retry-After: ${retryAfter} makes 300 s ${seconds} s`, () => {
    assert.equal(retrySeconds(2, { ...least, retryAfter }), seconds)
  })
}

test('Retry-After gives no try beyond the last', () => {
  assert.equal(retrySeconds(10, { ...least, retryAfter: '5' }), undefined)
})
