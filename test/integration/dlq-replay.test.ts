import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  audit,
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
  start,
  valuesOf,
} from './dlq-fixture.ts'

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
