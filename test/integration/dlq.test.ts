import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import pLimit from 'p-limit'
import {
  audit,
  bell,
  bodyOf,
  counts,
  dieOf,
  dlq,
  emulator,
  env,
  folder,
  idsIn,
  jsonLines,
  letVisibilityEnd,
  messagesIn,
  queue,
  run,
  sqs,
  valuesOf,
} from './dlq-fixture.ts'

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
  for (const [index, outcome] of (await pLimit(3).map(mistakes, (args) => run(...args))).entries()) {
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
