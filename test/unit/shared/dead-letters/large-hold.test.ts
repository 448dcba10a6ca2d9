import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createHold } from '#shared/dead-letters/hold.ts'

// Twenty times as fast as with 120 s and an SQS that answers in 280 ms.
const seconds = 6
const roundTripMs = 14
const messages = 4_000

test('4,000 messages are renewed in time, and given back, though SQS is far away', async (t) => {
  const ids = Array.from({ length: messages }, (_, i) => String(i))
  const hidden = new Set(ids)
  const waiting = [...ids]
  let atOnce = 0
  let most = 0
  const hold = createHold({
    seconds,
    queue: {
      receive: async () => waiting.splice(0, 10).map((id) => ({ MessageId: id, ReceiptHandle: id })),
      changeVisibility: async (handles, forSeconds) => {
        most = Math.max(most, ++atOnce)
        await sleep(roundTripMs)
        atOnce--
        if (forSeconds === 0) for (const handle of handles) hidden.delete(handle)
        return []
      },
      remove: async () => {},
    },
  })
  t.after(hold.giveBack)
  while ((await hold.receive()).length) {}
  await sleep(8_000)
  for (const id of ids) hold.check(id)
  assert.equal(await hold.giveBack(), undefined)
  assert.equal(hidden.size, 0)
  assert.ok(most > 1 && most <= 16, `${most} calls at once`)
})
