import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { UsageError } from '#shared/command-line.ts'
import { maxReceived } from '#shared/dead-letters/collect.ts'
import { batchSize } from '#shared/dead-letters/dead-letter-queue.ts'
import { withHold } from '#shared/dead-letters/hold.ts'
import { purge } from '../../../services/dlq/purge.ts'
import { createSession } from '../../../services/dlq/session.ts'
import { exportLetters } from '../../../services/dlq/views.ts'
import { createFakeDlq, letterOf } from '../../fake-dlq.ts'

let folder: string
let audit: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-export-test-'))
  audit = join(folder, 'audit.jsonl')
})

after(() => rm(folder, { recursive: true }))

test('an export that others hide messages from tells how many, and has failed; a purge tells it', async () => {
  const { dlq, session, told } = build(30)
  await withHold({ queue: dlq.queue, onFault: assert.fail }, async (another) => {
    for (let i = 0; i < 2; i++) await another.receive()
    for (const selection of [{}, { code: ['IMAGE_CORRUPT'] }]) {
      await exportLetters(session, selection)
      const { printed, said, complained } = told()
      assert.equal(printed.length, 10)
      assert.match(said.join('\n'), /^SQS counts about 20 messages more, .* not read$/m)
      assert.deepEqual(complained, [
        'this export may lack messages: purge --exported removes those it has, and no others',
      ])
    }
    await purge(session, { audit })
    assert.match(told().said.join('\n'), /about 20 messages more/)
    await purge(session, { yes: true, audit })
    const { said, complained } = told()
    assert.match(said.join('\n'), /about 20 messages more, .*\n10 removed$/)
    assert.deepEqual(complained, [])
  })
  assert.equal(dlq.ready().length, 20)
})

test('an export that has all that was asked for has not failed, whatever lies there besides', async () => {
  for (const [selection, lines] of [
    [{}, 30],
    [{ limit: 7 }, 7],
    [{ id: ['1', '2', '2'] }, 2],
    [{ code: ['IMAGE_EMPTY'] }, 0],
  ] as const) {
    const { session, told } = build(30)
    await exportLetters(session, { ...selection } as Parameters<typeof exportLetters>[1])
    const { printed, said, complained } = told()
    assert.deepEqual([printed.length, complained], [lines, []])
    assert.doesNotMatch(said.join('\n'), /SQS counts/)
  }
})

test('what it hides itself does not fail an export, though SQS counts it twice before or after', async () => {
  for (const counts of [
    [30, 60],
    [60, 30],
    [30, 0],
  ]) {
    const { session, told } = build(30, { count: async () => counts.shift()! })
    await exportLetters(session, {})
    assert.deepEqual([told().printed.length, told().complained], [30, []])
  }
})

test('an export that one run cannot hold has failed, and one that ends at a limit that was set has not', async () => {
  const { session, told } = build(maxReceived + 1)
  await exportLetters(session, {})
  const { printed, said, complained } = told()
  assert.deepEqual([printed.length, complained.length], [maxReceived, 1])
  assert.match(said.join('\n'), /one run cannot hold more/)
  await exportLetters(session, { limit: maxReceived })
  assert.deepEqual(told().complained, [])
})

test('a purge by an export removes its messages and no others, as often as it is said', async () => {
  const { dlq, session, told } = build(30)
  const exported = join(folder, 'letters.jsonl')
  await exportLetters(session, { id: ['3', '17', '29'], out: exported })
  await purge(session, { exported, audit })
  assert.match(told().said.join('\n'), /dry run: 3 messages would be removed/)
  assert.equal(dlq.ready().length, 30)
  await purge(session, { exported, yes: true, audit })
  assert.deepEqual(told().said, ['3 removed'])
  assert.equal(dlq.ready().length, 27)
  for (const id of ['3', '17', '29']) assert.ok(!dlq.ready().includes(id))
  await purge(session, { exported, yes: true, audit })
  const { said, complained } = told()
  assert.deepEqual(said, ['3 messages of the export were not found: they are gone, or hidden', '0 removed'])
  assert.deepEqual(complained, [])
  assert.equal(dlq.ready().length, 27)
})

const whole = (id: string) => JSON.stringify({ message_id: id, body: 'x', attributes: {} })

for (const [name, lines, fault] of [
  ['nothing', [], /it names no message/],
  ['empty lines', ['', ' '], /it names no message/],
  ['a line that is cut', [whole('1'), whole('2').slice(0, -1)], /line 2: it is not JSON/],
  ['a message without its id', [whole('1'), '', '{"body":"x","attributes":{}}'], /line 3: it has no message_id/],
  ['an endless id', [whole('x'.repeat(101))], /line 1: it has no message_id/],
  ['what could not be imported', [whole('1'), '{"message_id":"2"}'], /line 2: /],
  [
    'more than a run can hold',
    Array.from({ length: maxReceived + batchSize }, (_, id) => whole(String(id))),
    /more than 10009/,
  ],
  ['an endless line', ['x'.repeat(9 * 2 ** 20)], /line 1: it is too long/],
] as const) {
  test(`nothing is removed by a file of ${name}`, async () => {
    const { dlq, session } = build(3)
    const exported = join(folder, 'bad.jsonl')
    await writeFile(exported, lines.join('\n'))
    await assert.rejects(purge(session, { exported, yes: true, audit }), (error: Error) => {
      assert.ok(error instanceof UsageError)
      assert.match(error.message, fault)
      return true
    })
    assert.equal(dlq.received(), 0)
  })
}

test('a file that cannot be read is told in a line', async () => {
  const { session } = build(1)
  for (const exported of [folder, join(folder, 'none')]) {
    await assert.rejects(purge(session, { exported, yes: true, audit }), /cannot be read \(/)
  }
})

/** So many letters, and what the session has told since it was last asked. */
function build(letters: number, override: { count?: () => Promise<number> } = {}) {
  const messages = Array.from({ length: letters }, (_, id) => letterOf(String(id), { reason_code: 'IMAGE_CORRUPT' }))
  const dlq = createFakeDlq(messages)
  let said: string[] = []
  let printed: string[] = []
  let complained: string[] = []
  const session = createSession({
    queue: { ...dlq.queue, ...override },
    signal: new AbortController().signal,
    print: (line) => printed.push(line),
    say: (line) => said.push(line),
    complain: (line) => complained.push(line),
  })
  return {
    dlq,
    session,
    told() {
      const told = { said, printed, complained }
      said = []
      printed = []
      complained = []
      return told
    },
  }
}
