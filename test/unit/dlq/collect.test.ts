import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from '@aws-sdk/client-sqs'
import { collect, maxReceived } from '../../../services/dlq/collect.ts'

const { signal } = new AbortController()

test('a message that comes twice is one, and the longest failed is the first', async () => {
  const sent = (id: string, time: number): Message => ({ MessageId: id, Attributes: { SentTimestamp: String(time) } })
  const batches = [[sent('b', 2), sent('a', 1)], [sent('b', 2), sent('c', 3)], []]
  const hold = { receive: async () => batches.shift()! }
  const { letters, stop } = await collect({ hold, matches: ({ id }) => id !== 'c', limit: 10, signal })
  assert.deepEqual([letters.map(({ id }) => id), stop], [['a', 'b'], 'end'])
})

test('reading ends at the limit, and however much there is', async () => {
  let received = 0
  const hold = { receive: async () => Array.from({ length: 10 }, () => ({ MessageId: String(received++) })) }
  const few = await collect({ hold, matches: () => true, limit: 13, signal })
  assert.deepEqual([few.letters.length, few.stop, received], [13, 'limit', 20])
  received = 0
  const none = await collect({ hold, matches: () => false, limit: 1, signal })
  assert.deepEqual([none.letters, none.stop, received], [[], 'full', maxReceived])
  const large = { receive: async () => [{ MessageId: String(received++), Body: 'x'.repeat(2 ** 20) }] }
  received = 0
  assert.deepEqual(
    [(await collect({ hold: large, matches: () => true, limit: 1000, signal })).stop, received],
    ['full', 256],
  )
})

test('an interruption ends reading with its reason', async () => {
  const hold = { receive: async () => [{ MessageId: 'a' }] }
  await assert.rejects(collect({ hold, matches: () => true, limit: 9, signal: AbortSignal.abort('stop') }), /stop/)
})
