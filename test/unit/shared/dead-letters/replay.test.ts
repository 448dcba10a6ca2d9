import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDeadLetter } from '#shared/dead-letters/dead-letter.ts'
import { AuditError, createReplay, inTurn, LiesInBoth } from '#shared/dead-letters/replay.ts'

const rate = Number.POSITIVE_INFINITY

test('the item at hand is finished when the work is aborted, and no other begun, however slow the rate', async () => {
  const stop = new AbortController()
  const finished: number[] = []
  const step = async (item: number) => {
    if (item === 2) stop.abort()
    await Promise.resolve()
    finished.push(item)
  }
  const options = { rate, signal: stop.signal, onError: assert.fail }
  assert.deepEqual(await inTurn([1, 2, 3, 4], step, options), { done: 2, failed: 0, rest: 2 })
  assert.deepEqual(finished, [1, 2])

  const early = new AbortController()
  const slowly = inTurn([1, 2], async () => early.abort(), { rate: 0.01, signal: early.signal, onError: assert.fail })
  assert.deepEqual(await slowly, { done: 1, failed: 0, rest: 1 })
})

test('failures are told and passed over, but not many one after the other', async () => {
  const told: string[] = []
  const step = async (item: string) => {
    if (item === 'bad') throw new Error('said')
  }
  const options = {
    rate,
    signal: new AbortController().signal,
    onError: (item: string, { message }: Error) => told.push(`${item} ${message}`),
  }
  const items = ['bad', 'bad', 'good', 'bad', 'bad', 'bad', 'good']
  assert.deepEqual(await inTurn(items, step, options), { done: 1, failed: 5, rest: 1 })
  assert.deepEqual(told, Array(5).fill('bad said'))
})

test('nothing is done that cannot be put on the trail', async () => {
  let begun = 0
  const step = async () => {
    begun++
    throw new AuditError('full')
  }
  const options = { rate, signal: new AbortController().signal, onError: assert.fail }
  await assert.rejects(inTurn([1, 2], step, options), AuditError)
  assert.equal(begun, 1)
})

test('a message is checked, sent, recorded and only then removed: cut off anywhere, it lies in a queue', async () => {
  const steps = ['check', 'sendToQueue', 'record', 'remove'] as const
  for (const broken of [...steps, undefined]) {
    const done: string[] = []
    const at = (step: (typeof steps)[number]) => {
      if (step === broken) throw new Error(`${step} failed`)
      done.push(step)
    }
    const replay = createReplay({
      queue: {
        sendToQueue: async (body, attributes) => {
          at('sendToQueue')
          assert.deepEqual([body, attributes.replay_count?.StringValue], ['hello', '1'])
          return 'new'
        },
      },
      hold: { check: () => at('check'), remove: async () => at('remove') },
      record: async ({ id }, newId) => {
        at('record')
        assert.deepEqual([id, newId], ['old', 'new'])
      },
    })
    const replaying = replay(readDeadLetter({ MessageId: 'old', Body: 'hello' }))
    if (!broken) assert.equal(await replaying, 'new')
    else if (broken === 'remove') await assert.rejects(replaying, LiesInBoth)
    else await assert.rejects(replaying, new RegExp(`^Error: ${broken} failed$`))
    assert.deepEqual(done, broken ? steps.slice(0, steps.indexOf(broken)) : steps)
  }
})
