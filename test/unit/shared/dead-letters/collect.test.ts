import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from '@aws-sdk/client-sqs'
import { collect, maxReceived } from '#shared/dead-letters/collect.ts'

const bounds = { signal: new AbortController().signal, now: 0 }
const code = (StringValue: string) => ({ reason_code: { DataType: 'String', StringValue } })

test('a message that comes twice is one, and the longest failed is the first', async () => {
  const sent = (id: string, time: number): Message => ({ MessageId: id, Attributes: { SentTimestamp: String(time) } })
  const other = { ...sent('c', 3), MessageAttributes: code('IMAGE_EMPTY') }
  const { letters, received, stop } = await collect(
    holdOf([
      [sent('b', 2), sent('a', 1)],
      [sent('b', 2), other],
    ]),
    { code: ['none'], limit: 10 },
    bounds,
  )
  assert.deepEqual([letters.map(({ id }) => id), received, stop], [['a', 'b'], 3, 'end'])
})

test('those that are named are looked for until all are found, and then there are no others', async () => {
  const batches = [[{ MessageId: 'a' }, { MessageId: 'b' }], [{ MessageId: 'c' }]]
  for (const [id, limit, found, stop] of [
    [['a'], 10, ['a'], 'named'],
    [['c', 'a', 'c'], 10, ['a', 'c'], 'named'],
    [['a', 'c'], 1, ['a'], 'limit'],
    [['a', 'z'], 10, ['a'], 'end'],
  ] as const) {
    const collected = await collect(holdOf(batches), { id: [...id], limit }, bounds)
    assert.deepEqual([collected.letters.map((letter) => letter.id), collected.stop], [found, stop])
  }
})

test('reading ends at the limit, and however much there is', async () => {
  let received = 0
  const hold = { receive: async () => Array.from({ length: 10 }, () => ({ MessageId: String(received++) })) }
  const few = await collect(hold, { limit: 13 }, bounds)
  assert.deepEqual([few.letters.length, few.stop, received], [13, 'limit', 20])
  received = 0
  const none = await collect(hold, { code: ['IMAGE_EMPTY'], limit: 1 }, bounds)
  assert.deepEqual([none.letters, none.stop, received], [[], 'full', maxReceived])
  received = 0
  await collect(hold, { limit: 100 }, { ...bounds, maxReceived: 30 })
  assert.equal(received, 30)
})

test('a reading takes so many bytes, of bodies and attributes, and one message more at most', async () => {
  const large = (id: number): Message => ({
    MessageId: String(id),
    Body: 'x'.repeat(2 ** 19),
    MessageAttributes: code('x'.repeat(2 ** 19)),
  })
  const batch = Array.from({ length: 10 }, (_, id) => large(id))
  const { letters, stop } = await collect(holdOf([batch]), { limit: 100 }, { ...bounds, maxBytes: 3 * 2 ** 20 })
  assert.deepEqual([letters.length, stop], [3, 'full'])
})

test('those replayed too often take no place from the others, and as many are noted as those leave room', async () => {
  const letters = (from: number, count: number, replays: string): Message[] =>
    Array.from({ length: count }, (_, index) => ({
      MessageId: String(from + index),
      Body: 'x'.repeat(100),
      MessageAttributes: { replay_count: { DataType: 'Number', StringValue: replays } },
    }))
  const batches = [letters(0, 10, '3'), letters(0, 10, '3'), letters(10, 10, '9'), letters(20, 5, '2')]
  for (const [selection, maxBytes, found, worn, wornCount, stop] of [
    [{ limit: 8 }, 2 ** 20, 5, 3, 20, 'end'],
    [{ limit: 100 }, 2 ** 20, 5, 20, 20, 'end'],
    [{ limit: 3 }, 2 ** 20, 3, 0, 20, 'limit'],
    [{ limit: 100 }, 1_000, 5, 3, 20, 'end'],
    [{ limit: 100, id: ['0', '11', '20'] }, 2 ** 20, 1, 2, 2, 'named'],
    [{ limit: 100, id: ['0', '3'] }, 2 ** 20, 0, 2, 2, 'named'],
  ] as const) {
    const { id, limit } = { id: undefined, ...selection }
    const hold = holdOf(batches)
    const collected = await collect(hold, { limit, maxReplays: 3, ...(id && { id: [...id] }) }, { ...bounds, maxBytes })
    assert.deepEqual(
      [collected.letters.length, collected.worn.length, collected.wornCount, collected.stop],
      [found, worn, wornCount, stop],
      JSON.stringify({ selection, maxBytes }),
    )
  }
  const every = await collect(holdOf(batches), { limit: 100 }, bounds)
  assert.deepEqual([every.letters.length, every.wornCount], [25, 0])
})

test('an interruption ends reading with its reason, and the end of its time with what was found', async () => {
  const hold = { receive: async () => [{ MessageId: 'a' }] }
  await assert.rejects(collect(hold, { limit: 9 }, { ...bounds, signal: AbortSignal.abort('stop') }), /stop/)
  const late = new AbortController()
  const slow = {
    receive: async () => {
      late.abort()
      return [{ MessageId: 'a' }]
    },
  }
  const { letters, stop } = await collect(slow, { limit: 9 }, { ...bounds, late: late.signal })
  assert.deepEqual([letters.map(({ id }) => id), stop], [['a'], 'late'])
})

function holdOf(batches: readonly Message[][]) {
  const left = [...batches]
  return { receive: async () => left.shift() ?? [] }
}
