import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import type { DeadLetterQueue } from '#shared/dead-letters/dead-letter-queue.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { createDeadLetters } from '../../../services/api/dead-letters.ts'
import { createFakeDlq, letterOf } from '../../fake-dlq.ts'

const limit = 100
const selection = { limit }
const away = new RetryableFailure('STORAGE_UNAVAILABLE', 'it failed: ECONNREFUSED 10.0.0.1')
const busy = { code: 'OVERLOADED' }
const ids = ['a', 'b', 'c', 'd', 'e']

test('two readings at once both see everything, one after the other', async () => {
  const { deadLetters, dlq } = build()
  const lists = await Promise.all([deadLetters.list(selection, asking()), deadLetters.list(selection, asking())])
  for (const { letters, more } of lists) assert.deepEqual([letters.map(idOf).toSorted(), more], [ids, false])
  assert.deepEqual(dlq.ready(), ids)
})

test('a reading whose turn does not come in time, and one too many in the line, are told to come again', async () => {
  const { deadLetters, holdUp, goOn } = build({ readMs: 50 })
  holdUp('receive')
  const first = deadLetters.list(selection, asking())
  const others = Array.from({ length: 11 }, () => deadLetters.list(selection, asking()))
  await assert.rejects(others.pop()!, busy)
  await new Promise((resolve) => AbortSignal.timeout(100).addEventListener('abort', resolve))
  goOn()
  const { letters, more } = await first
  assert.deepEqual([letters.length, more], [5, true])
  for (const other of others) await assert.rejects(other, busy)
  assert.equal((await deadLetters.list(selection, asking())).letters.length, 5)
})

test('letters whose bodies are as large as can be are all seen, and those that make long answers as many as fit', async () => {
  const body = 'x'.repeat(2 ** 20)
  const large = build({ messages: ids.map((id) => ({ ...letterOf(id, {}), Body: body })) })
  const all = await large.deadLetters.list(selection, asking())
  assert.deepEqual([all.letters.map(idOf), all.more], [ids, false])
  const long = build({ messages: ids.map((id) => letterOf(id, { reason: 'x'.repeat(2 ** 19) })) })
  const some = await long.deadLetters.list(selection, asking())
  assert.deepEqual([some.letters.length, some.more], [2, true])
})

test('when the client goes away in the middle, all is given back, and the next call sees it', async () => {
  const { deadLetters, dlq, holdUp, goOn } = build({ batch: 2 })
  const gone = new AbortController()
  const reached = holdUp('receive')
  const list = deadLetters.list(selection, asking(gone.signal))
  await reached
  gone.abort(new Error('gone'))
  goOn()
  await assert.rejects(list, /gone/)
  assert.deepEqual([dlq.ready(), dlq.received()], [ids, 2])
  await assert.rejects(deadLetters.list(selection, asking(gone.signal)), /gone/)
  assert.equal(dlq.received(), 2)
})

for (const [cause, end] of [
  ['the server closes', (deadLetters: ReturnType<typeof createDeadLetters>) => deadLetters.close()],
  ['the client goes away', (_: unknown, gone: AbortController) => gone.abort(new Error('gone'))],
  ['the time is up', () => new Promise((resolve) => AbortSignal.timeout(150).addEventListener('abort', resolve))],
] as const) {
  test(`when ${cause} during a replay, the message at hand is finished and the others are as before`, async () => {
    const { deadLetters, dlq, holdUp, goOn } = build({ workMs: 100 })
    const gone = new AbortController()
    const reached = holdUp('sendToQueue')
    const replaying = deadLetters.replay(selection, { dryRun: false, caller: 'c' }, asking(gone.signal))
    await reached
    await end(deadLetters, gone)
    goOn()
    const { letters } = await replaying
    assert.deepEqual(
      letters.map(({ outcome }) => outcome),
      ['replayed', 'left', 'left', 'left', 'left'],
    )
    assert.equal(dlq.sent.length, 1)
    assert.deepEqual([...dlq.ready(), ...dlq.sent].toSorted(), ids)
  })
}

test('a server that closes while it reads answers so, with everything given back', async () => {
  const { deadLetters, dlq, holdUp, goOn } = build({ batch: 2 })
  const reached = holdUp('receive')
  const list = deadLetters.list(selection, asking())
  await reached
  deadLetters.close()
  goOn()
  await assert.rejects(list, busy)
  assert.deepEqual(dlq.ready(), ids)
})

test('what was replayed so often is left, and that is said', async () => {
  const { deadLetters, dlq } = build({
    messages: [letterOf('a', { replay_count: '3' }), letterOf('b', { replay_count: '2' })],
  })
  const outcomes = async (maxReplays?: number) => {
    const { letters } = await deadLetters.replay(selection, { dryRun: true, maxReplays, caller: 'c' }, asking())
    return letters.map(({ message_id, outcome }) => `${message_id} ${outcome}`).toSorted()
  }
  assert.deepEqual(await outcomes(), ['a left', 'b would_be_replayed'])
  assert.deepEqual(await outcomes(4), ['a would_be_replayed', 'b would_be_replayed'])
  assert.deepEqual(await outcomes(0), ['a left', 'b left'])
  const { letters } = await deadLetters.replay(selection, { dryRun: false, caller: 'c' }, asking())
  assert.deepEqual(dlq.ready(), ['a'])
  assert.deepEqual(
    letters.map(({ age_seconds: _age, body_bytes: _bytes, sent_at: _sent, failed_at: _failed, ...each }) => each),
    [
      { message_id: 'a', image_keys: [], replay_count: 3, outcome: 'left', detail: 'it was replayed 3 times or more' },
      { message_id: 'b', image_keys: [], replay_count: 2, outcome: 'replayed', new_message_id: 'new-b' },
    ],
  )
})

test('however many were replayed too often, each call replays others, until there are no others', async () => {
  const worn = Array.from({ length: 10 }, (_, index) => letterOf(`worn ${index}`, { replay_count: '3' }))
  const fresh = Array.from({ length: 5 }, (_, index) => letterOf(`fresh ${index}`, {}))
  const { deadLetters, dlq } = build({ messages: [...worn, ...fresh] })
  const replay = async (dryRun: boolean) => {
    const { letters, more } = await deadLetters.replay({ limit: 4 }, { dryRun, caller: 'c' }, asking())
    return [...letters.map(({ outcome }) => outcome), more]
  }
  const would = 'would_be_replayed'
  assert.deepEqual(await replay(true), [would, would, would, would, true])
  assert.deepEqual(await replay(false), ['replayed', 'replayed', 'replayed', 'replayed', true])
  assert.deepEqual(await replay(false), ['left', 'left', 'left', 'replayed', false])
  assert.deepEqual(await replay(false), ['left', 'left', 'left', 'left', false])
  assert.deepEqual([dlq.sent.length, dlq.ready().length], [5, 10])
})

test('what cannot be sent stays, what cannot be taken off lies in both, and nobody is told what SQS said', async () => {
  for (const [broken, failures, detail] of [
    ['sendToQueue', 3, /^sending it failed; it is in the dead-letter queue as before$/],
    ['remove', 3, /lies in both queues/],
  ] as const) {
    const { deadLetters, dlq, lines } = build({
      override: {
        [broken]: async () => {
          throw away
        },
      },
    })
    const { letters } = await deadLetters.replay(selection, { dryRun: false, caller: 'c' }, asking())
    const failed = letters.filter(({ outcome }) => outcome === 'failed')
    assert.equal(failed.length, failures)
    for (const each of failed) {
      assert.match('detail' in each ? each.detail : '', detail)
      assert.equal('new_message_id' in each, broken === 'remove')
    }
    // One failure after the other: the rest is not begun.
    assert.equal(letters.filter(({ outcome }) => outcome === 'left').length, ids.length - failures)
    assert.deepEqual(dlq.ready(), ids)
    assert.doesNotMatch(JSON.stringify(letters), /ECONNREFUSED/)
    assert.equal(lines().filter(({ level }) => level === 50).length, failures)
  }
})

test('who has replayed what is in the log, and of what was in the message no more than its reason', async () => {
  const message = letterOf('a', { reason_code: 'x'.repeat(10_000), reason: 'a reason', image_key: 'uploads/a.jpg' })
  const { deadLetters, lines } = build({ messages: [{ ...message, Body: 'a body' }] })
  await deadLetters.replay(selection, { dryRun: true, caller: 'abc' }, asking())
  await deadLetters.list(selection, asking())
  assert.deepEqual(lines(), [])
  await deadLetters.replay(selection, { dryRun: false, caller: 'abc' }, asking())
  assert.deepEqual(
    lines().map(({ audit, msg }) => [audit, msg]),
    [
      [
        {
          action: 'replay',
          caller: 'abc',
          message_id: 'a',
          new_message_id: 'new-a body',
          reason_code: 'x'.repeat(64),
          replay_count: 1,
        },
        'a dead letter was replayed',
      ],
    ],
  )
})

test('who has replayed what is in the log whatever its level, as lines of the same request', async () => {
  for (const level of ['warn', 'fatal', 'silent']) {
    const { deadLetters, lines } = build({ messages: [letterOf('a', {})] })
    const quiet = pino({ level }, destination).child({ request_id: 'one' })
    await deadLetters.replay(selection, { dryRun: false, caller: 'abc' }, { ...asking(), log: quiet })
    quiet.info('not written')
    assert.deepEqual(
      lines().map(({ level, request_id, audit, msg }) => [level, request_id, audit.message_id, msg]),
      [[30, 'one', 'a', 'a dead letter was replayed']],
    )
  }
})

test('what cannot be given back is told in the log, and the answer comes all the same', async () => {
  const { deadLetters, lines } = build({
    override: {
      changeVisibility: async () => {
        throw away
      },
    },
  })
  assert.equal((await deadLetters.list(selection, asking())).letters.length, 5)
  assert.deepEqual(
    lines().map(({ level, fault }) => [level, fault]),
    [[40, `5 messages come back in up to 30 s only: ${away.message}`]],
  )
})

let written: string[] = []
const destination = { write: (line: string) => void written.push(line) }
const log = pino({ level: 'info' }, destination)

function asking(gone: AbortSignal = new AbortController().signal) {
  return { gone, log }
}

function idOf({ message_id: id }: { message_id: string }): string {
  return id
}

function build({
  messages = ids.map((id) => letterOf(id, {})),
  batch,
  override = {},
  ...times
}: {
  messages?: Parameters<typeof createFakeDlq>[0]
  batch?: number
  override?: Partial<DeadLetterQueue>
  readMs?: number
  workMs?: number
} = {}) {
  written = []
  const dlq = createFakeDlq(messages, { ...(batch && { batch }) })
  const queue = { ...dlq.queue, ...override }
  const going = Promise.withResolvers<void>()
  return {
    dlq,
    deadLetters: createDeadLetters({ queue, ...times }),
    /** Lines of the log. */
    lines: () => written.map((line) => JSON.parse(line)),
    /** Has the first such call wait until `goOn`; resolves when it is reached. */
    holdUp(name: 'receive' | 'sendToQueue'): Promise<void> {
      const { promise, resolve } = Promise.withResolvers<void>()
      const { [name]: call } = queue
      Object.assign(queue, {
        [name]: async (...args: never[]) => {
          resolve()
          await going.promise
          return (call as (...args: never[]) => Promise<unknown>)(...args)
        },
      })
      return promise
    },
    goOn: going.resolve,
  }
}
