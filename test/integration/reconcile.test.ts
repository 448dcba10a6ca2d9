import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pLimit from 'p-limit'
import { createS3Client } from '#shared/aws/clients.ts'
import { s3Notification } from '#shared/contract/s3-notification.ts'
import { printable } from '#shared/printable.ts'
import { startVersionedS3 } from '../versioned-s3.ts'
import {
  arrived,
  assertWhole,
  atOnce,
  composed,
  consume,
  credentials,
  depth,
  draw,
  find,
  kindsByKey,
  local,
  lose,
  purge,
  reconcile,
  rowsUnder,
  send,
  stack,
  takeEvent,
  upload,
} from './reconcile-fixture.ts'

const main = fileURLToPath(new URL('../../services/dlq/main.ts', import.meta.url))

test('pictures whose events were lost get their music, whatever their keys', async () => {
  const prefix = 'uploads/lost/'
  const names = [
    '한글/그림 하나',
    '🎨',
    'a+b c',
    '100%',
    'a%2Fb',
    '\x1b[31mred\n\x9b',
    `${'한'.repeat(333)}${'x'.repeat(12)}`,
  ]
  const keys = names.map((name) => prefix + name)
  assert.equal(Buffer.byteLength(keys.at(-1)!), 1024)
  for (const key of keys) await upload(key)
  await upload(`${prefix}folder/`, Buffer.alloc(0))
  await upload(`${prefix}of no use/../picture.jpg`)
  await lose(keys.length + 2)

  const young = await reconcile(['--prefix', prefix, '--yes'])
  assert.deepEqual([young.status, young.orphans], [0, []])

  const dry = await reconcile(['--prefix', prefix, ...atOnce])
  assert.equal(dry.status, 1)
  assert.deepEqual(kindsByKey(dry.orphans), Object.fromEntries(keys.map((key) => [key, 'picture_without_job found'])))
  assert.deepEqual(await rowsUnder(prefix), [])
  assert.equal(await depth(), 0)

  const shown = await reconcile(['--prefix', prefix, ...atOnce], { json: false })
  const lines = shown.stdout.trimEnd().split('\n')
  assert.deepEqual(lines, lines.map(printable))
  assert.equal(lines.length, keys.length)
  assert.match(shown.stderr, /^7 orphans: 0 mended, 7 to be mended with --yes, 0 left, 0 changed meanwhile$/m)

  const mended = await reconcile(['--prefix', prefix, ...atOnce, '--yes'])
  assert.deepEqual([mended.status, mended.count('mended')], [0, keys.length])
  await consume()
  await assertWhole(keys)
  assert.deepEqual((await reconcile(['--prefix', prefix, ...atOnce])).orphans, [])
})

test('an event that was only late, and a second mending, change nothing', async () => {
  const key = 'uploads/late.jpg'
  await upload(key)
  const event = await takeEvent()
  for (let times = 0; times < 2; times++) {
    assert.equal((await reconcile(['--prefix', key, ...atOnce, '--yes'])).status, 0)
  }
  assert.equal(await depth(), 2)
  await consume()
  const { sequencer: mended, ...then } = (await find(key)).job
  await send(event)
  await consume()
  const { sequencer: real, ...now } = (await find(key)).job
  assert.deepEqual(now, then)
  assert.ok(real > mended, 'S3 is believed about the order')
  assert.equal(composed, 1)
  await assertWhole([key])
})

test('what was put last is answered, in whatever order events are lost, late or mended', async () => {
  const key = 'uploads/versions.jpg'
  const bodies = [await draw(1), await draw(2), await draw(3)]
  const versions = bodies.map((body) => createHash('md5').update(body).digest('hex'))
  const mend = async () => {
    const { orphans } = await reconcile(['--prefix', key, ...atOnce, '--yes'])
    await consume()
    return orphans.map(({ kind, outcome }) => `${kind} ${outcome}`)
  }
  const answered = async () => versions.indexOf((await find(key)).job.version)

  await upload(key, bodies[0])
  const late = await takeEvent()
  await upload(key, bodies[1])
  await lose(1)
  assert.deepEqual(await mend(), ['picture_without_job mended'])
  assert.equal(await answered(), 1)

  // Of what is overwritten, and yet after what nothing was known to come before.
  await send(late)
  await consume()
  assert.equal(await answered(), 0)
  assert.deepEqual(await mend(), ['picture_not_newest mended'])
  assert.equal(await answered(), 1)

  await upload(key, bodies[2])
  await arrived(1)
  await consume()
  assert.equal(await answered(), 2, 'a real event is never behind a mended one')
  assert.deepEqual(await mend(), [])

  await upload(key, bodies[1])
  await lose(1)
  assert.deepEqual(await mend(), ['picture_not_newest mended'])
  assert.equal(await answered(), 1, 'the same bytes put back')
  await upload(key, bodies[2])
  await lose(1)
  assert.deepEqual(await mend(), ['picture_not_newest mended'])
  assert.equal(await answered(), 2)
  assert.deepEqual(await mend(), [])
})

test('in a versioned bucket each version is its own, the same bytes or not', async () => {
  const bucket = stack.env.BUCKET!
  const versioned = await startVersionedS3({ endpoint: stack.env.AWS_ENDPOINT_URL!, bucket })
  const s3 = createS3Client({ region: stack.env.AWS_REGION!, endpoint: versioned.endpoint, credentials })
  const env = { AWS_ENDPOINT_URL: versioned.endpoint }
  const key = 'uploads/versioned/그림 +%2F😀.jpg'
  const mend = async () => {
    const { orphans } = await reconcile(['--prefix', key, ...atOnce, '--yes'], { env })
    await consume({ env })
    return orphans.map(
      ({ kind, version, outcome }) => `${kind} ${versioned.versionsOf(key).indexOf(version)} ${outcome}`,
    )
  }
  const answered = async () => versioned.versionsOf(key).indexOf((await find(key)).job.version)
  try {
    await upload(key, await draw(4), s3)
    await upload(key, await draw(5), s3)
    assert.deepEqual(await mend(), ['picture_without_job 1 mended'])
    assert.equal(await answered(), 1)
    assert.equal((await find(key)).job.state, 'succeeded')

    await sleep(1000)
    await upload(key, await draw(5), s3)
    assert.deepEqual(await mend(), ['picture_without_job 2 mended'])
    assert.equal(await answered(), 2)

    // The first version's own event comes last; then that of the third.
    for (const index of [0, 2]) {
      const event = { key, versionId: versioned.versionsOf(key)[index]!, etag: 'any', size: 1 }
      const sequencer = `0062E99A88DC40746${index}`
      await send(s3Notification({ ...event, bucket, region: 'r', sequencer, eventTime: '', ...local }))
      await consume({ env })
    }
    assert.equal(await answered(), 2)
    assert.deepEqual(await mend(), [])
    assert.equal(composed, 3)
    assert.equal((await rowsUnder(key)).length, 3)
  } finally {
    s3.destroy()
    await versioned.close()
  }
})

test('thousands are found page by page; cut off, the same again sends the rest', async () => {
  const prefix = 'uploads/many/'
  const keys = Array.from({ length: 2_500 }, (_, index) => `${prefix}${index}.jpg`)
  await pLimit(20).map(keys, (key) => upload(key, Buffer.from(key)))
  await lose(keys.length)
  const interrupt = new AbortController()
  const cutOff = reconcile(['--prefix', prefix, '--older-than', '0s', '--rate', '100', '--yes'], {
    signal: interrupt.signal,
  })
  await arrived(20)
  interrupt.abort(new Error('interrupted'))
  await assert.rejects(cutOff, /interrupted/)
  const sent = await depth()
  assert.ok(sent >= 20 && sent < 1_000, `${sent} sent`)
  await purge()

  const { status, orphans, count } = await reconcile(['--prefix', prefix, ...atOnce, '--yes'])
  assert.deepEqual([status, count('mended')], [0, keys.length])
  assert.equal(new Set(orphans.map(({ key }) => key)).size, keys.length)
  assert.equal(await depth(), keys.length)
  await purge()
})

test('what is asked for wrongly is told with status 2, and nothing is looked at', async () => {
  for (const [args, message] of [
    [['--prefix', 'generated/'], /Pictures are under uploads\//],
    [['--older-than', 'soon'], /such as 30m/],
    [['--rate', '0'], /from 0\.01 to 10000/],
    [['everything'], /too many arguments/],
  ] as const) {
    await assert.rejects(reconcile([...args]), (error: Error & { exitCode?: number }) => {
      assert.match(error.message, message)
      return error.exitCode === 1
    })
  }
})

test('as a process it tells by its status whether anything is left', async () => {
  const key = 'uploads/process.jpg'
  await upload(key)
  await lose(1)
  const run = async (...args: string[]) => {
    const env = { ...process.env, ...stack.env }
    const child = spawn(process.execPath, [main, 'reconcile', '--prefix', key, ...args], { env, stdio: 'pipe' })
    const [stdout, stderr, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    return { status, stdout, stderr }
  }
  const dry = await run('--older-than', '0s')
  assert.equal(dry.status, 1, dry.stderr)
  const time = String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`
  assert.match(dry.stdout, new RegExp(`^picture_without_job  ${time}  found    re-enqueue +${key}  [0-9a-f]{32}\n$`))
  assert.equal((await run('--older-than', '0s', '--yes')).status, 0)
  const wrong = await run('--older-than', 'soon')
  assert.deepEqual([wrong.status, wrong.stdout], [2, ''])
  await consume()
  assert.equal((await run('--older-than', '0s')).stdout, '')
})
