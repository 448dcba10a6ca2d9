import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fuzz } from './fuzz.ts'
import { messageMutator } from './mutate-message.ts'
import { pictureMutator } from './mutate-picture.ts'

const seed = 1

test('mutated pictures and messages are read, or refused with a code, and harm nobody', async () => {
  const { findings } = await fuzz({
    seed,
    pictures: { from: 0, count: 150 },
    messages: { from: 0, count: 300 },
    requests: { from: 0, count: 0 },
    stack: 60,
    hostile: false,
  })
  assert.deepEqual(findings.faults, [])
  const results = new Set(findings.rows().flatMap((row) => [...row.results.keys()]))
  for (const result of ['read', 'IMAGE_CORRUPT', 'IMAGE_UNSUPPORTED_TYPE', 'MESSAGE_UNREADABLE'] as const) {
    assert.ok(results.has(result), `nothing came out as ${result}`)
  }
})

test('a case can be made again by its number alone', async () => {
  const subject = { bucket: 'b', key: 'uploads/a.jpg', etag: 'e', size: 1 }
  const [one, other] = [await pictureMutator(seed), await pictureMutator(seed)]
  one(1)
  assert.deepEqual(one(2), other(2))
  assert.deepEqual(messageMutator(seed, subject)(7), messageMutator(seed, subject)(7))
  assert.notDeepEqual((await pictureMutator(2))(2).bytes, one(2).bytes)
})
