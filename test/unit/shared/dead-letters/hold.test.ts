import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createHold } from '#shared/dead-letters/hold.ts'

test('messages are renewed for as long as they are held, in batches, and given back', async (t) => {
  const { hold, calls, pass } = build(t, { messages: 12 })
  await hold.receive()
  await hold.receive()
  await pass(600)
  for (const id of ['0', '11']) hold.check(id)
  assert.ok(calls.length >= 2 * 20)
  await hold.remove('3')
  calls.length = 0
  assert.equal(await hold.giveBack(), undefined)
  assert.deepEqual(calls, [
    { handles: 10, seconds: 0 },
    { handles: 1, seconds: 0 },
  ])
  calls.length = 0
  await pass(600)
  assert.deepEqual(calls, [])
})

test('a message that cannot be renewed is held no more when its time is over, from when it was asked for', async (t) => {
  for (const answer of [{ gone: true }, { error: new Error('away') }]) {
    const { hold, pass } = build(t, { messages: 1, answerSeconds: 5, ...answer })
    await hold.receive()
    await pass(114)
    hold.check('0')
    await pass(2)
    assert.throws(() => hold.check('0'), /another may have it/)
    await hold.giveBack()
  }
})

test('what cannot be given back is told, and not tried without end', async (t) => {
  const { hold, calls } = build(t, { messages: 1_000, error: new Error('away') })
  for (let i = 0; i < 100; i++) await hold.receive()
  assert.equal(await hold.giveBack(), '1000 messages come back in up to 120 s only: away')
  assert.ok(calls.length < 20, `${calls.length} calls`)
})

test('a message received twice is answered for by its later receipt', async (t) => {
  const { hold, removed } = build(t, { messages: 1, twice: true })
  await hold.receive()
  await hold.receive()
  await hold.remove('0')
  assert.deepEqual(removed, ['later-0'])
  await assert.rejects(hold.remove('0'), /is not held/)
  await hold.giveBack()
})

interface Options {
  messages: number
  answerSeconds?: number
  gone?: boolean
  error?: Error
  twice?: boolean
}

function build(t: TestContext, options: Options) {
  t.mock.timers.reset()
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const calls: { handles: number; seconds: number }[] = []
  const removed: string[] = []
  const ids = Array.from({ length: options.messages }, (_, i) => String(i))
  const again = options.twice ? [...ids] : []
  let time = 0
  const hold = createHold({
    queue: {
      receive: async () => {
        time += (options.answerSeconds ?? 0) * 1000
        const first = ids.splice(0, 10)
        const batch = first.length ? first : again.splice(0, 10)
        return batch.map((id) => ({ MessageId: id, ReceiptHandle: first.length ? id : `later-${id}` }))
      },
      changeVisibility: async (handles, seconds) => {
        calls.push({ handles: handles.length, seconds })
        if (options.error) throw options.error
        return options.gone ? handles : []
      },
      remove: async (handle) => {
        removed.push(handle)
      },
    },
    now: () => time,
  })
  return {
    hold,
    calls,
    removed,
    async pass(seconds: number): Promise<void> {
      for (let i = 0; i < seconds; i++) {
        time += 1000
        t.mock.timers.tick(1000)
        await setImmediate()
      }
    },
  }
}
