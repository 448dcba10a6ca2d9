import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  ChangeMessageVisibilityCommand,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import type { FauxqsServer } from 'fauxqs'
import { createSqsClient } from '#shared/aws/clients.ts'
import { region, startEmulator } from '../../services/local/emulator.ts'

const entry = fileURLToPath(new URL('../../services/dlq/main.ts', import.meta.url))
const bell = '\u001b[31m\u009b2J\u202e'

let emulator: FauxqsServer
let sqs: SQSClient
let folder: string
let audit: string
let queues = 0
let queue: string
let dlq: string
let env: Record<string, string>

before(async () => {
  emulator = await startEmulator()
  sqs = createSqsClient({
    region,
    endpoint: emulator.address,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  })
})

after(async () => {
  sqs.destroy()
  await emulator.stop()
})

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-dlq-test-'))
  audit = join(folder, 'audit.jsonl')
  queue = `uploads-${++queues}`
  dlq = `${queue}-dlq`
  env = {
    AWS_REGION: region,
    AWS_ENDPOINT_URL: emulator.address,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    QUEUE_URL: emulator.createQueue(queue).queueUrl,
    DLQ_URL: emulator.createQueue(dlq).queueUrl,
    PATH: process.env.PATH!,
  }
})

afterEach(() => rm(folder, { recursive: true }))

test('list shows what lies there, by every filter, and gives it all back', async () => {
  dieOf('IMAGE_CORRUPT', 'uploads/한글 🎨.jpg', { failed_at: '2026-01-02T03:04:05.678Z', attempts: 2, replay_count: 1 })
  dieOf('IMAGE_EMPTY', `uploads/${bell}/${'x'.repeat(200)}.jpg`, { reason: `no ${bell} bytes` })
  emulator.sendMessage(dlq, bodyOf('uploads/by SQS.jpg'))
  emulator.sendMessage(dlq, `hello \u009b31m`)

  const table = await run('list')
  assert.equal(table.status, 0)
  assert.doesNotMatch(table.stdout, /[^\P{Cc}\n]|\u202e/u)
  const [head, first, ...others] = table.stdout.trimEnd().split('\n')
  assert.match(head!, /^message id +reason code +image key +failed at +attempts +age +replays$/)
  assert.match(first!, /IMAGE_CORRUPT +uploads\/한글 🎨.jpg +2026-01-02T03:04:05Z +2 +\d+w +1$/)
  assert.match(others.join('\n'), /IMAGE_EMPTY +uploads\/\?\[31m\?2J\?\/x+… /)
  assert.match(others.join('\n'), / - +uploads\/by SQS.jpg /)
  assert.equal(table.stderr, '4 messages; about 4 in the dead-letter queue\n')

  const chosen = await run('list', '--json', '--newer-than', '1h', '--code', 'none', '--text', 'BY+sqs')
  assert.deepEqual(
    jsonLines(chosen.stdout).map(({ image_keys: keys }) => keys),
    [['uploads/by SQS.jpg']],
  )
  assert.doesNotMatch((await run('list', '--json')).stdout, /[^\P{Cc}\n]|\u202e/u)
  const limited = await run('list', '--limit', '3', '--json')
  assert.equal(jsonLines(limited.stdout).length, 3)
  assert.match(limited.stderr, /stopped at the limit of 3/)
  assert.deepEqual(counts(dlq), { ready: 4, inflight: 0 })
  assert.deepEqual(counts(queue), { ready: 0, inflight: 0 })
})

test('show tells everything about one message, and nothing of it acts on the terminal', async () => {
  dieOf('IMAGE_EMPTY', `uploads/${bell}.jpg`, { reason: `no ${bell} bytes` })
  emulator.sendMessage(dlq, `hello \u009b31m\nworld`)
  const [image, hello] = idsIn(dlq)
  const shown = await run('show', image!)
  assert.equal(shown.status, 0)
  assert.match(shown.stdout, /^reason +no \?\[31m\?2J\? bytes$/m)
  assert.match(shown.stdout, /^ {6}"eventName": "ObjectCreated:Put",$/m)
  assert.match((await run('show', hello!)).stdout, /^hello \?31m\nworld$/m)
  assert.doesNotMatch(shown.stdout, /[^\P{Cc}\n]|\u202e/u)
  const missing = await run('show', 'nothing')
  assert.deepEqual([missing.status, missing.stdout], [1, ''])
  assert.deepEqual(counts(dlq), { ready: 2, inflight: 0 })
})

test('without --yes nothing is changed, and what is meant must be said', async () => {
  dieOf('IMAGE_EMPTY', 'uploads/a.jpg')
  const file = join(folder, 'letters.jsonl')
  await run('export', '--all', '--out', file)
  for (const args of [
    ['replay', '--all'],
    ['purge', '--all'],
    ['import', file],
  ]) {
    const { status, stderr } = await run(...args, '--audit', audit)
    assert.deepEqual([status, /dry run: 1 message would be/.test(stderr)], [0, true], stderr)
  }
  const mistakes = [
    ['replay'],
    ['purge', '--yes'],
    ['purge', '--all', '--code', 'IMAGE_EMPTY'],
    ['export'],
    ['replay', '--native', '--code', 'IMAGE_EMPTY'],
    ['replay', '--all', '--edit'],
    ['list', '--older-than', 'long'],
    ['list', '--code', 'IMAGE_LOST'],
    ['purge', '--code', 'none', '--code', 'image_empty', '--yes'],
    ['export', '--all', '--out', file],
    ['bogus'],
  ]
  for (const [index, outcome] of (await Promise.all(mistakes.map((args) => run(...args)))).entries()) {
    const { status, stdout, stderr } = outcome
    assert.deepEqual([status, stdout, stderr !== ''], [2, '', true], mistakes[index]!.join(' '))
  }
  assert.match((await run('list', '--code', 'IMAGE_LOST')).stderr, /Known are IMAGE_NOT_FOUND, .*, none\.$/m)
  assert.equal((await run('--help')).status, 0)
  assert.match((await run('replay', '--help')).stdout, /--max-replays/)
  env.DLQ_URL = env.QUEUE_URL!
  assert.match((await run('list')).stderr, /they are two queues/)
  assert.deepEqual(counts(dlq), { ready: 1, inflight: 0 })
  await assert.rejects(readFile(audit), { code: 'ENOENT' })
})

test('a replay sends the message again as it came, and says who did it', async () => {
  dieOf('IMAGE_NOT_FOUND', 'uploads/한글.jpg', { failure_id: 'f-1', replay_count: 2, own: 'kept' })
  dieOf('IMAGE_EMPTY', 'uploads/other.jpg')
  const [id] = idsIn(dlq)
  const { status, stderr, stdout } = await run('replay', '--prefix', 'uploads/한글', '--yes', '--audit', audit)
  assert.deepEqual([status, stderr], [0, '1 replayed\n'])
  const [sent, ...others] = messagesIn(queue)
  assert.deepEqual(others, [])
  assert.equal(sent!.body, bodyOf('uploads/한글.jpg'))
  assert.deepEqual(valuesOf(sent!.messageAttributes), { failure_id: 'f-1', replay_count: '3', own: 'kept' })
  assert.equal(stdout, `${id} replayed as ${sent!.messageId}: uploads/한글.jpg\n`)
  assert.deepEqual(counts(dlq), { ready: 1, inflight: 0 })
  const [{ time, user, ...entry }, ...entries] = jsonLines(await readFile(audit, 'utf8'))
  assert.ok(Date.parse(time) && user)
  assert.deepEqual(entries, [])
  assert.deepEqual(entry, {
    action: 'replay',
    message_id: id,
    new_message_id: sent!.messageId,
    image_key: 'uploads/한글.jpg',
    reason_code: 'IMAGE_NOT_FOUND',
    replay_count: 3,
  })
})

test('what is shown, replayed and removed is told to programs as JSON Lines, dry runs too', async () => {
  dieOf('IMAGE_NOT_FOUND', 'uploads/a.jpg')
  dieOf('IMAGE_EMPTY', 'uploads/b.jpg')
  const [first, second] = idsIn(dlq)
  const told = async (...args: string[]) => jsonLines((await run(...args, '--json')).stdout)
  const [{ body, image_keys: keys }] = await told('show', first!)
  assert.deepEqual([body, keys], [bodyOf('uploads/a.jpg'), ['uploads/a.jpg']])
  const dry = await told('replay', '--all')
  assert.deepEqual(dry.map(({ message_id: id }) => id).toSorted(), [first, second].toSorted())
  assert.deepEqual(await told('purge', '--code', 'IMAGE_EMPTY', '--yes', '--audit', audit), [
    { message_id: second, action: 'purge', reason_code: 'IMAGE_EMPTY', image_keys: ['uploads/b.jpg'] },
  ])
  const [replayed] = await told('replay', '--all', '--yes', '--audit', audit)
  assert.deepEqual(replayed, {
    message_id: first,
    action: 'replay',
    new_message_id: messagesIn(queue)[0]!.messageId,
    reason_code: 'IMAGE_NOT_FOUND',
    image_keys: ['uploads/a.jpg'],
  })
})

test('a message replayed too often is left, and that is said', async () => {
  dieOf('IMAGE_NOT_FOUND', 'uploads/a.jpg', { replay_count: 3 })
  const { status, stderr } = await run('replay', '--all', '--yes', '--audit', audit)
  assert.equal(status, 0)
  assert.match(stderr, /1 message left: replayed 3 times or more/)
  assert.deepEqual(counts(dlq), { ready: 1, inflight: 0 })
  assert.match((await run('replay', '--all', '--max-replays', '4', '--yes', '--audit', audit)).stderr, /^1 replayed$/m)
})

test('messages replayed too often do not count towards the limit of a replay', async () => {
  for (let i = 0; i < 5; i++) dieOf('IMAGE_NOT_FOUND', `uploads/worn ${i}.jpg`, { replay_count: 3 })
  for (let i = 0; i < 3; i++) dieOf('IMAGE_NOT_FOUND', `uploads/${i}.jpg`)
  const { status, stderr } = await run('replay', '--all', '--limit', '2', '--yes', '--audit', audit)
  assert.equal(status, 0)
  assert.match(stderr, /^5 messages left: replayed 3 times or more; .*\n2 replayed$/m)
  assert.deepEqual(counts(dlq), { ready: 6, inflight: 0 })
})

test('a body is replaced by that of a file or an editor, which must announce a picture', async () => {
  dieOf('MESSAGE_UNREADABLE', undefined)
  dieOf('MESSAGE_UNREADABLE', undefined)
  const [first, second] = idsIn(dlq)
  const file = join(folder, 'body.json')
  const replayOf = (id: string, ...args: string[]) => run('replay', '--id', id, '--yes', '--audit', audit, ...args)

  await writeFile(file, '{"Records":[]}')
  assert.match(
    (await replayOf(first!, '--body-file', file)).stderr,
    /the body announces no picture: .*nothing was sent/,
  )
  await writeFile(file, bodyOf('uploads/mended.jpg'))
  const several = await run('replay', '--all', '--yes', '--audit', audit, '--body-file', file)
  assert.deepEqual([several.status, counts(dlq)], [2, { ready: 2, inflight: 0 }], several.stderr)
  assert.equal((await replayOf(first!, '--body-file', file)).status, 0)

  env.EDITOR = 'false'
  assert.equal((await replayOf(second!, '--edit')).status, 1)
  env.EDITOR = `cp '${file}'`
  const edited = await replayOf(second!, '--edit')
  assert.equal(edited.status, 0, edited.stderr)
  assert.deepEqual(
    messagesIn(queue).map(({ body }) => body),
    [bodyOf('uploads/mended.jpg'), bodyOf('uploads/mended.jpg')],
  )
  assert.deepEqual(counts(dlq), { ready: 0, inflight: 0 })
})

test('a purge removes what matches and nothing else', async () => {
  for (let i = 0; i < 12; i++) dieOf(i % 2 ? 'IMAGE_EMPTY' : 'IMAGE_CORRUPT', `uploads/${i}.jpg`)
  const { status, stderr } = await run('purge', '--code', 'IMAGE_EMPTY', '--yes', '--audit', audit)
  assert.deepEqual([status, stderr], [0, '6 removed\n'])
  const codes = messagesIn(dlq).map(({ messageAttributes }) => valuesOf(messageAttributes).reason_code)
  assert.deepEqual(codes, Array(6).fill('IMAGE_CORRUPT'))
  const entries = jsonLines(await readFile(audit, 'utf8'))
  assert.deepEqual(
    new Set(entries.map(({ action, reason_code: code }) => `${action} ${code}`)),
    new Set(['purge IMAGE_EMPTY']),
  )
  assert.equal(entries.length, 6)
})

test('what is exported, purged and imported is what was', async () => {
  dieOf('IMAGE_EMPTY', `uploads/한 ${bell}.jpg`, { reason: `a\tb\n${'\u009b'}` })
  const odd = {
    bytes: { DataType: 'Binary.png', BinaryValue: 'AP8=' },
    n: { DataType: 'Number', StringValue: '1e3' },
  }
  emulator.sendMessage(dlq, 'hello\n\u0085\u202e한', { messageAttributes: odd as never })
  const content = () =>
    messagesIn(dlq)
      .map(({ body, messageAttributes }) => ({ body, messageAttributes }))
      .toSorted((a, b) => a.body.localeCompare(b.body))
  const before = content()

  const file = join(folder, 'letters.jsonl')
  const { stdout } = await run('export', '--all')
  assert.doesNotMatch(stdout, /[^\P{Cc}\n]|\u202e/u)
  await run('export', '--all', '--out', file)
  assert.deepEqual(jsonLines(stdout).length, 2)
  assert.ok(jsonLines(stdout)[0].system_attributes.SentTimestamp)
  assert.equal((await run('purge', '--all', '--yes', '--audit', audit)).status, 0)
  assert.deepEqual(content(), [])
  assert.equal((await run('import', file, '--yes', '--audit', audit)).status, 0)
  assert.deepEqual(content(), before)

  assert.equal((await run('import', file, '--from-line', '2', '--to-queue', '--yes', '--audit', audit)).status, 0)
  assert.equal(messagesIn(queue).length, 1)
  assert.equal(valuesOf(messagesIn(queue)[0]!.messageAttributes).replay_count, '1')
})

test('an export that is not whole ends with status 1, and a purge by it leaves what came since', async () => {
  for (let i = 0; i < 3; i++) dieOf('IMAGE_EMPTY', `uploads/${i}.jpg`)
  const file = join(folder, 'letters.jsonl')
  const hidden = await sqs.send(new ReceiveMessageCommand({ QueueUrl: env.DLQ_URL, MaxNumberOfMessages: 1 }))
  const partial = await run('export', '--all', '--out', file)
  assert.equal(partial.status, 1)
  assert.match(
    partial.stderr,
    /^SQS counts about 1 message more, .*\n2 messages exported\nthis export may lack messages: /m,
  )
  await letVisibilityEnd()
  dieOf('IMAGE_EMPTY', 'uploads/new.jpg')

  for (const args of [['--all'], ['--code', 'IMAGE_EMPTY'], ['--exported', join(folder, 'none')]]) {
    const mistake = await run('purge', '--exported', file, ...args, '--yes', '--audit', audit)
    assert.equal(mistake.status, 2, mistake.stderr)
  }
  assert.match(
    (await run('purge', '--yes')).stderr,
    /in one way: by filters such as --code, by --all, .* --exported\n$/,
  )
  const purged = await run('purge', '--exported', file, '--yes', '--audit', audit)
  assert.deepEqual([purged.status, purged.stderr], [0, '2 removed\n'])
  assert.deepEqual(
    messagesIn(dlq)
      .map(({ body }) => body)
      .toSorted(),
    [hidden.Messages![0]!.Body, bodyOf('uploads/new.jpg')].toSorted(),
  )
  assert.equal((await run('export', '--all')).status, 0)
})

test('an import with a bad line names it and sends nothing', async () => {
  const file = join(folder, 'letters.jsonl')
  const good = JSON.stringify({ body: 'hello', attributes: {} })
  const bad = [
    '{',
    '{"body":"","attributes":{}}',
    '{"body":"x"}',
    '{"body":"x","attributes":{"a b":{"data_type":"String","string_value":"x"}}}',
    '{"body":"x","attributes":{"a":{"data_type":"Binary","string_value":"x"}}}',
    '{"body":"\\u0000","attributes":{}}',
    JSON.stringify({ body: 'x'.repeat(2 ** 20 + 1), attributes: {} }),
  ]
  await writeFile(file, [good, '', ...bad, good].join('\n'))
  const { status, stderr } = await run('import', file, '--yes', '--audit', audit)
  assert.equal(status, 2)
  assert.deepEqual(
    Array.from(stderr.matchAll(/^line (\d+): /gm), ([, line]) => Number(line)),
    [3, 4, 5, 6, 7, 8, 9],
  )
  assert.match(stderr, /has faults: nothing was sent/)
  assert.deepEqual(counts(dlq), { ready: 0, inflight: 0 })
})

test('what cannot be put on the trail is not done', async () => {
  dieOf('IMAGE_EMPTY', 'uploads/a.jpg')
  const nowhere = join('/dev/null', 'audit.jsonl')
  for (const args of [
    ['replay', '--all'],
    ['purge', '--all'],
  ]) {
    const { status, stderr } = await run(...args, '--yes', '--audit', nowhere)
    assert.equal(status, 2)
    assert.match(stderr, /the audit trail cannot be written/)
  }
  // It takes no bytes, which opening it does not tell.
  const full = await run('replay', '--all', '--yes', '--audit', '/dev/full')
  assert.deepEqual([full.status, /the audit trail cannot be written \(the disk is full\)/.test(full.stderr)], [1, true])
  assert.deepEqual(counts(dlq), { ready: 1, inflight: 0 })
})

test('a queue that is away is told in a line', async () => {
  emulator.deleteQueue(dlq)
  const { status, stdout, stderr } = await run('list')
  assert.deepEqual([status, stdout, stderr.split('\n').length], [1, '', 2], stderr)
  assert.match(stderr, /^looking for the dead-letter queue failed: /)
  env.AWS_ENDPOINT_URL = 'http://127.0.0.1:1'
  env.DLQ_URL = 'http://127.0.0.1:1/0/dlq'
  assert.equal((await run('list')).status, 1)
})

test('a queue that takes no more ends a replay after a few failures, with everything where it was', async () => {
  for (let i = 0; i < 8; i++) dieOf('IMAGE_EMPTY', `uploads/${i}.jpg`)
  emulator.deleteQueue(queue)
  const { status, stderr } = await run('replay', '--all', '--yes', '--audit', audit)
  assert.equal(status, 1)
  assert.match(stderr, /^0 replayed, 3 failed, 5 not begun\none failure after the other: ended$/m)
  assert.deepEqual(counts(dlq), { ready: 8, inflight: 0 })
})

for (const interruption of ['SIGINT', 'SIGKILL'] as const) {
  test(`${interruption} in the middle of a replay: every message is in a queue at every moment, and a second run ends it`, async () => {
    const keys = Array.from({ length: 50 }, (_, i) => `uploads/${i}.jpg`)
    for (const key of keys) dieOf('IMAGE_NOT_FOUND', key)
    const bodies = new Set(keys.map(bodyOf))
    const lost = () => {
      const there = new Set([...messagesIn(dlq), ...messagesIn(queue)].map(({ body }) => body))
      return [...bodies].filter((body) => !there.has(body))
    }

    const first = start('replay', '--all', '--rate', '100', '--yes', '--audit', audit)
    let looks = 0
    for (; first.child.exitCode === null && first.child.signalCode === null; looks++) {
      assert.deepEqual(lost(), [])
      if (messagesIn(queue).length >= 20 && !first.child.killed) first.child.kill(interruption)
      await sleep(1)
    }
    assert.ok(looks > 20)
    const { status, stderr } = await first.ended
    const sent = messagesIn(queue).length
    assert.ok(sent >= 20 && sent < 50, `${sent} sent`)
    if (interruption === 'SIGINT') {
      assert.deepEqual([status, counts(dlq)], [1, { ready: 50 - sent, inflight: 0 }], stderr)
      assert.match(stderr, new RegExp(`^${sent} replayed, ${50 - sent} not begun\nSIGINT: ended before its time`))
    } else await letVisibilityEnd()

    const second = await run('replay', '--all', '--rate', '500', '--yes', '--audit', audit)
    assert.equal(second.status, 0, second.stderr)
    assert.deepEqual(lost(), [])
    assert.deepEqual(counts(dlq), { ready: 0, inflight: 0 })
    // Only the one at hand when it was killed may have come twice.
    const copies = messagesIn(queue).length
    assert.ok(copies === 50 || (copies === 51 && interruption === 'SIGKILL'), `${copies} copies`)
    assert.ok(jsonLines(await readFile(audit, 'utf8')).length >= 50)
  })
}

test('a reader that goes away ends a replay as an interruption does', async () => {
  for (let i = 0; i < 20; i++) dieOf('IMAGE_NOT_FOUND', `uploads/${i}.jpg`)
  const { child, ended } = start('replay', '--all', '--rate', '50', '--yes', '--audit', audit)
  child.stdout!.destroy()
  assert.equal((await ended).status, 1)
  const { ready, inflight } = counts(dlq)
  assert.ok(ready > 0 && inflight === 0)
  assert.equal(ready + messagesIn(queue).length, 20)
})

/** As time would: what a killed process held comes back. */
async function letVisibilityEnd(): Promise<void> {
  for (const { receiptHandle } of emulator.inspectQueue(dlq)!.messages.inflight) {
    const message = { QueueUrl: env.DLQ_URL, ReceiptHandle: receiptHandle }
    await sqs.send(new ChangeMessageVisibilityCommand({ ...message, VisibilityTimeout: 0 }))
  }
}

/** A dead letter as the consumer sends it. */
function dieOf(code: string, key: string | undefined, more: Record<string, string | number> = {}): void {
  const values: Record<string, string | number> = {
    reason_code: code,
    reason: 'said',
    failed_at: new Date().toISOString(),
    attempts: 1,
    ...(key && { image_key: key.split('/').map(encodeURIComponent).join('/') }),
    ...more,
  }
  const messageAttributes = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      { DataType: typeof value === 'number' ? 'Number' : 'String', StringValue: String(value) },
    ]),
  )
  emulator.sendMessage(dlq, key === undefined ? 'hello' : bodyOf(key), { messageAttributes })
}

function bodyOf(key: string): string {
  const object = { key: encodeURIComponent(key).replaceAll('%20', '+'), size: 1, eTag: 'e1', sequencer: '0A' }
  return JSON.stringify({
    Records: [
      {
        eventVersion: '2.1',
        eventSource: 'aws:s3',
        eventName: 'ObjectCreated:Put',
        eventTime: '2026-01-02T03:04:05.678Z',
        s3: { bucket: { name: 'pictures' }, object },
      },
    ],
  })
}

function messagesIn(name: string) {
  const { ready, inflight } = emulator.inspectQueue(name)!.messages
  return [...ready, ...inflight.map(({ message }) => message)]
}

function idsIn(name: string): string[] {
  return messagesIn(name).map(({ messageId }) => messageId)
}

function counts(name: string) {
  const { ready, inflight } = emulator.inspectQueue(name)!.messages
  return { ready: ready.length, inflight: inflight.length }
}

function valuesOf(attributes: Record<string, MessageAttributeValue | { StringValue?: string }>) {
  return Object.fromEntries(Object.entries(attributes).map(([name, { StringValue }]) => [name, StringValue]))
}

// biome-ignore lint/suspicious/noExplicitAny: as programs read it
function jsonLines(lines: string): any[] {
  return lines.split('\n').flatMap((line) => (line ? JSON.parse(line) : []))
}

function start(...args: string[]): {
  child: ChildProcess
  ended: Promise<{ status: number | null; stdout: string; stderr: string }>
} {
  const child = spawn(process.execPath, [entry, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 })
  const output = Promise.all([text(child.stdout).catch(() => ''), text(child.stderr), once(child, 'close')])
  return { child, ended: output.then(([stdout, stderr]) => ({ status: child.exitCode, stdout, stderr })) }
}

async function run(...args: string[]) {
  const outcome = await start(...args).ended
  assert.doesNotMatch(outcome.stderr, /\n {4}at /)
  return outcome
}
