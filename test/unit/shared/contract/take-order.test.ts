import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readQueueMessage } from '#shared/contract/queue-message.ts'
import { takeOrderOf } from '#shared/contract/take-order.ts'

const order = {
  bucket: 'pictures',
  key: 'uploads/a.jpg',
  version: 'e1',
  take: 1,
  eventTime: '2026-01-02T03:04:05.678Z',
}

test('an order whose key is no text, or too long as UTF-8, is unreadable', () => {
  for (const key of ['uploads/\ud800', '한'.repeat(342)]) {
    const reason = 'the key is not UTF-8 of at most 1024 bytes'
    assert.deepEqual(readQueueMessage(takeOrderOf({ ...order, key })), { kind: 'unreadable', reason })
  }
})

test('an order is read as it was written, in characters that SQS takes', () => {
  for (const key of [
    'uploads/a.jpg',
    'uploads/한 글+%2F😀.jpg',
    'uploads/\ufffe\uffff\u0001\u007f"\\',
    `uploads/${'한'.repeat(338)}`,
  ]) {
    const body = takeOrderOf({ ...order, key })
    assert.match(body, /^[\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]+$/u)
    assert.deepEqual(readQueueMessage(body), { kind: 'order', order: { ...order, key } })
  }
})

for (const [name, more] of [
  ['of the first take', { take: 0 }],
  ['of half a take', { take: 1.5 }],
  ['of a take in words', { take: '1' }],
  ['without a version', { version: '' }],
  ['of a version with a space', { version: 'e 1' }],
  ['without a key', { key: undefined }],
  ['with too long a key', { key: 'x'.repeat(1025) }],
  ['of no time', { ordered_at: 5 }],
] as const) {
  test(`an order ${name} is unreadable, and says so`, () => {
    const body = JSON.stringify({ ...JSON.parse(takeOrderOf(order)), ...more })
    const read = readQueueMessage(body)
    assert.ok(read.kind === 'unreadable', body)
    assert.match(read.reason, /^not a promenade\.generate: /)
  })
}
