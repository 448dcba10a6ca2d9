import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { PurgeQueueCommand, ReceiveMessageCommand, SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs'
import { Command } from 'commander'
import { eq, like, sql } from 'drizzle-orm'
import { pino } from 'pino'
import { createS3Client, createSqsClient } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { createQueue } from '#shared/aws/queue.ts'
import { readConfig } from '#shared/config.ts'
import { musicKey } from '#shared/contract/key.ts'
import { readQueueMessage } from '#shared/contract/queue-message.ts'
import { s3Notification } from '#shared/contract/s3-notification.ts'
import { takeOrderOf } from '#shared/contract/take-order.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobInventory } from '#shared/db/job-inventory.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { createOrders, type Orders } from '#shared/db/orders.ts'
import { createResults, type FoundJob, type Results } from '#shared/db/results.ts'
import { artAnalysis, jobs as jobsTable } from '#shared/db/schema.ts'
import { printable } from '#shared/printable.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import { readWav } from '../../services/consumer/audio/wav.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { createOrphans, type Orphan } from '../../services/dlq/orphans.ts'
import { addReconcile } from '../../services/dlq/reconcile.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'
import { startVersionedS3 } from '../versioned-s3.ts'

const main = fileURLToPath(new URL('../../services/dlq/main.ts', import.meta.url))
const patienceMs = 20_000
const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
/** Nothing in a test is old. */
const atOnce = ['--older-than', '0s', '--rate', '10000']

let stack: Stack
let sqs: SQSClient
let database: Database
let jobs: Jobs
let results: Results
let orders: Orders
let picture: Buffer
let composed = 0

before(async () => {
  stack = await startStack()
  sqs = createSqsClient({ region: stack.env.AWS_REGION!, endpoint: stack.env.AWS_ENDPOINT_URL, credentials })
  database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  jobs = createJobs({ database })
  results = createResults({ database, bucket: stack.env.BUCKET! })
  orders = createOrders({ database, bucket: stack.env.BUCKET! })
  picture = await draw(1)
  process.env.AWS_ACCESS_KEY_ID = credentials.accessKeyId
  process.env.AWS_SECRET_ACCESS_KEY = credentials.secretAccessKey
})

after(async () => {
  await database?.close()
  sqs?.destroy()
  await stack?.close()
})

beforeEach(() => {
  composed = 0
})

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

test('jobs that nobody works on are taken up again, and those in work are not', async () => {
  const prefix = 'uploads/stuck/'
  const [queued, expired, held] = ['queued', 'expired', 'held'].map((name) => prefix + name) as [string, string, string]
  for (const key of [queued, expired, held]) {
    await upload(key)
    const read = readQueueMessage(await takeEvent())
    assert.equal(read.kind, 'uploads')
    const id = await jobs.receive(read.kind === 'uploads' ? read.uploads[0]! : assert.fail())
    if (key !== queued) await jobs.claim(id, { token: key, leaseSeconds: 600 })
    if (key === expired) await set(id, { leaseExpiresAt: sql`utc_timestamp(3) - interval 1 minute` })
    await set(id, { updatedAt: sql`utc_timestamp(3) - interval 5 minute` })
  }
  const patient = await reconcile(['--prefix', prefix, '--older-than', '10m'])
  assert.deepEqual([patient.status, patient.orphans], [0, []])
  const { orphans } = await reconcile(['--prefix', prefix, '--older-than', '30s', '--yes'])
  assert.deepEqual(kindsByKey(orphans), { [queued]: 'job_stuck mended', [expired]: 'job_stuck mended' })
  await consume()
  await assertWhole([queued, expired])
  assert.equal((await find(held)).job.leaseToken, held)
})

test('a success that is not whole is made whole: the same job, one row, and the music it tells of', async () => {
  const prefix = 'uploads/broken/'
  const faults = {
    'no music': async ({ job }: FoundJob) => remove(musicKey(job.imageKey, job.id)),
    'short music': async ({ job }: FoundJob) => upload(musicKey(job.imageKey, job.id), Buffer.alloc(100)),
    'other music': async ({ job, analysis }: FoundJob) =>
      upload(musicKey(job.imageKey, job.id), Buffer.alloc(analysis!.musicBytes)),
    'no row': async ({ job }: FoundJob) => {
      await database.run((db) => db.delete(artAnalysis).where(eq(artAnalysis.jobId, job.id)))
    },
    'gone picture': async ({ job }: FoundJob) => {
      await remove(job.imageKey)
      await remove(musicKey(job.imageKey, job.id))
    },
    whole: async () => {},
  }
  const keys = Object.keys(faults).map((name) => prefix + name)
  for (const key of keys) await upload(key)
  await arrived(keys.length)
  await consume()
  for (const [name, damage] of Object.entries(faults)) await damage(await find(prefix + name))
  const before = await rowsUnder(prefix)

  const bySize = await reconcile(['--prefix', prefix, ...atOnce])
  const found = {
    [`${prefix}no music`]: 'row_without_music found',
    [`${prefix}short music`]: 'music_differs found',
    [`${prefix}no row`]: 'job_without_row found',
    [`${prefix}gone picture`]: 'row_without_music left',
  }
  assert.deepEqual(kindsByKey(bySize.orphans), found)
  const byBytes = await reconcile(['--prefix', prefix, ...atOnce, '--verify-bytes'])
  assert.deepEqual(kindsByKey(byBytes.orphans), { ...found, [`${prefix}other music`]: 'music_differs found' })
  assert.deepEqual(await rowsUnder(prefix), before, 'a dry run changes nothing')
  assert.equal(await depth(), 0)

  const mended = await reconcile(['--prefix', prefix, ...atOnce, '--verify-bytes', '--yes'])
  assert.deepEqual([mended.status, mended.count('mended'), mended.count('left')], [1, 4, 1])
  // The models are others by now.
  await consume({ inference: { compose: async () => [new Float32Array(6400).fill(0.125)] } })
  await assertWhole(keys.filter((key) => key !== `${prefix}gone picture`))
  for (const name of ['no music', 'short music', 'other music', 'no row']) {
    const { durationSeconds, sampleRate } = (await find(prefix + name)).analysis!
    assert.equal(durationSeconds, 6400 / sampleRate, name)
  }
  assert.equal((await find(`${prefix}gone picture`)).job.state, 'succeeded', 'what cannot be mended stays as it is')
  const after = await reconcile(['--prefix', prefix, ...atOnce, '--verify-bytes'])
  assert.deepEqual(kindsByKey(after.orphans), { [`${prefix}gone picture`]: 'row_without_music left' })
})

test('mending that is cut off never leaves a job queued whose wrong music is still there', async () => {
  const key = 'uploads/cut off.jpg'
  await upload(key)
  await arrived(1)
  await consume()
  const { job } = await find(key)
  await upload(musicKey(key, job.id), Buffer.alloc(100))
  const [orphan, ...others] = await orphansOf(key, { delete: () => Promise.reject(new Error('cut off')) })
  assert.deepEqual([orphan?.kind, others], ['music_differs', []])
  await assert.rejects(orphan!.mend!(), /cut off/)
  assert.equal((await find(key)).job.state, 'succeeded')
  assert.equal((await reconcile(['--prefix', key, ...atOnce, '--yes'])).status, 0)
  await consume()
  await assertWhole([key])
})

test('what two runs have found one of them mends, and what was made again since is not deleted', async () => {
  const prefix = 'uploads/two runs/'
  const faults = {
    'short music': async ({ job }: FoundJob) => upload(musicKey(job.imageKey, job.id), Buffer.alloc(100)),
    'no row': async ({ job }: FoundJob) => {
      await database.run((db) => db.delete(artAnalysis).where(eq(artAnalysis.jobId, job.id)))
    },
    'no music': async ({ job }: FoundJob) => remove(musicKey(job.imageKey, job.id)),
  }
  const keys = Object.keys(faults).map((name) => prefix + name)
  for (const key of keys) await upload(key)
  await arrived(keys.length)
  await consume()
  for (const [name, damage] of Object.entries(faults)) await damage(await find(prefix + name))
  const mendAll = (orphans: Orphan[]) => Promise.all(orphans.map(({ mend }) => mend!()))
  const [one, two] = [await orphansOf(prefix), await orphansOf(prefix)]
  assert.deepEqual(await mendAll(one), [true, true, true])
  await consume()
  assert.deepEqual(await mendAll(two), [false, false, false])
  assert.equal(await depth(), 0)
  await assertWhole(keys)
})

test('music that nobody wants is deleted only when so asked; music that will be wanted is not', async () => {
  const prefix = 'uploads/leftover/'
  const id = '0123456789abcdef'.repeat(2)
  const cut = `uploads/leftover/${'x'.repeat(1000)}`
  const music = {
    gone: musicKey(`${prefix}gone`, id),
    overwritten: musicKey(`${prefix}overwritten`, id),
    cut: musicKey(cut, id),
  }
  for (const key of Object.values(music)) await upload(key, Buffer.from('RIFF'))
  await upload(`generated/leftover/readme.txt`, Buffer.from('not music'))
  await upload(`${prefix}overwritten`)
  await upload(`${prefix}made`)
  await arrived(2)
  await consume()
  const made = await find(`${prefix}made`)
  await database.run((db) => db.delete(jobsTable).where(eq(jobsTable.id, made.job.id)))

  const kept = await reconcile(['--prefix', prefix, ...atOnce, '--yes'])
  assert.equal(kept.status, 1)
  assert.deepEqual(kindsByKey(kept.orphans), {
    [`${prefix}made`]: 'picture_without_job mended',
    [music.gone]: 'music_without_row left',
    [music.overwritten]: 'music_without_row left',
    [music.cut]: 'music_without_row left',
  })
  const young = await reconcile(['--prefix', prefix, '--older-than', '1h', '--yes', '--delete-orphan-music'])
  assert.deepEqual(young.orphans, [])
  const deleted = await reconcile(['--prefix', prefix, ...atOnce, '--yes', '--delete-orphan-music'])
  assert.equal(kindsByKey(deleted.orphans)[music.gone], 'music_without_row mended')
  assert.equal(kindsByKey(deleted.orphans)[music.cut], 'music_without_row left')
  await consume()
  assert.deepEqual(
    (await list('generated/leftover/')).toSorted(),
    [
      musicKey(`${prefix}made`, made.job.id),
      musicKey(`${prefix}overwritten`, (await find(`${prefix}overwritten`)).job.id),
      'generated/leftover/readme.txt',
      music.cut,
    ].toSorted(),
  )
  await assertWhole([`${prefix}made`])
})

test('failed jobs are counted and left alone, the music of a try before too while the picture is there', async () => {
  const key = 'uploads/failed/text.jpg'
  await upload(key, Buffer.from('text'))
  await arrived(1)
  await consume()
  const { job } = await find(key)
  assert.equal(job.state, 'failed')
  await upload(musicKey(key, job.id), Buffer.from('RIFF'))
  const options = ['--prefix', 'uploads/failed/', ...atOnce, '--yes', '--delete-orphan-music']
  const there = await reconcile(options)
  assert.deepEqual([there.status, there.orphans], [0, []])
  assert.match(there.stderr, /looked at 1 pictures, 1 jobs \(of them 1 failed, and left alone\) and 1 pieces of music/)
  await remove(key)
  const gone = await reconcile(options)
  assert.deepEqual(kindsByKey(gone.orphans), { [musicKey(key, job.id)]: 'music_without_row mended' })
})

test('the music of a later take is made again, without the picture', async () => {
  const key = 'uploads/later/a.jpg'
  await upload(key)
  await arrived(1)
  await consume()
  const ordered = await orders.order({ key, seconds: 1 }, { caller: 'anyone' })
  assert.ok(ordered.outcome === 'placed')
  await remove(key)
  const options = ['--prefix', key, ...atOnce, '--yes']
  const stuck = await reconcile(options)
  assert.deepEqual(kindsByKey(stuck.orphans), { [key]: 'job_stuck mended' })
  await consume()
  await remove(musicKey(key, ordered.found.job.id))
  const broken = await reconcile(options)
  assert.deepEqual(kindsByKey(broken.orphans), { [key]: 'row_without_music mended' })
  await consume()
  const { job, analysis } = (await results.find({ key, take: 1 }))!
  assert.deepEqual([job.state, analysis!.durationSeconds, composed], ['succeeded', 1, 3])
  assert.deepEqual((await reconcile(options)).orphans, [])
})

test('music of a canceled job is left over; that of a later take that failed is not, since a replay records it', async () => {
  const prefix = 'uploads/ended/'
  for (const name of ['a', 'b']) await upload(prefix + name)
  await arrived(2)
  await consume()
  await orders.order({ key: `${prefix}b` }, { caller: 'anyone' })
  const canceled = (await find(`${prefix}a`)).job.id
  const failed = (await results.find({ key: `${prefix}b`, take: 1 }))!.job.id
  await database.run((db) => db.delete(artAnalysis).where(eq(artAnalysis.jobId, canceled)))
  await set(canceled, { state: 'canceled' })
  await set(failed, { state: 'failed' })
  await upload(musicKey(`${prefix}b`, failed), Buffer.from('RIFF'))
  const { orphans } = await reconcile(['--prefix', prefix, ...atOnce, '--yes', '--delete-orphan-music'])
  assert.deepEqual(kindsByKey(orphans), { [musicKey(`${prefix}a`, canceled)]: 'music_without_row mended' })
})

test('thousands are found page by page; cut off, the same again sends the rest', async () => {
  const prefix = 'uploads/many/'
  const keys = Array.from({ length: 2_500 }, (_, index) => `${prefix}${index}.jpg`)
  for (let start = 0; start < keys.length; start += 50) {
    await Promise.all(keys.slice(start, start + 50).map((key) => upload(key, Buffer.from(key))))
  }
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

test('cut off, no job is queued again without its event', async () => {
  const prefix = 'uploads/cut off/'
  const keys = Array.from({ length: 12 }, (_, index) => `${prefix}${index}.jpg`)
  for (const key of keys) await upload(key)
  await arrived(keys.length)
  await consume()
  for (const key of keys) await remove(musicKey(key, (await find(key)).job.id))
  const interrupt = new AbortController()
  const cutOff = reconcile(['--prefix', prefix, '--older-than', '0s', '--rate', '5', '--yes'], {
    signal: interrupt.signal,
  })
  await arrived(2)
  interrupt.abort(new Error('interrupted'))
  await assert.rejects(cutOff, /interrupted/)
  const queued = (await rowsUnder(prefix)).filter(({ job }) => job.state === 'queued')
  assert.equal(queued.length, await depth())
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

interface Line {
  kind: string
  key: string
  version: string
  outcome: string
}

/** Runs the command in this process. */
async function reconcile(
  args: string[],
  { json = true, env, signal }: { json?: boolean; env?: Record<string, string>; signal?: AbortSignal } = {},
) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const program = new Command('dlq')
  let status = 0
  addReconcile(program, {
    env: { ...stack.env, ...env },
    stdout,
    stderr,
    signal: signal ?? new AbortController().signal,
    setExitCode: (code) => {
      status = code
    },
  })
  const silent = { writeErr: () => {} }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().allowExcessArguments(false).configureOutput(silent)
  }
  const outputs = [text(stdout), text(stderr)] as const
  try {
    await program.parseAsync(['reconcile', ...args, ...(json ? ['--json'] : [])], { from: 'user' })
  } finally {
    stdout.end()
    stderr.end()
  }
  const [output, said] = await Promise.all(outputs)
  const orphans: Line[] = json ? parseLines(output) : []
  const count = (outcome: string) => orphans.filter((each) => each.outcome === outcome).length
  return { status, stdout: output, stderr: said, orphans, count }
}

/** What a run finds that has not mended it yet. */
async function orphansOf(prefix: string, objects: Partial<ReturnType<typeof createObjectStore>> = {}) {
  const bucket = stack.env.BUCKET!
  const { searches } = createOrphans({
    objects: { ...createObjectStore({ s3: stack.s3, bucket }), ...objects },
    inventory: createJobInventory({ database, bucket }),
    announce: (assignment) =>
      send('take' in assignment ? takeOrderOf(assignment) : s3Notification({ ...assignment, region: 'r', ...local })),
    bucket,
    prefix,
    olderThanSeconds: 0,
    verifyBytes: false,
    deleteMusic: false,
    now: Date.now,
    signal: new AbortController().signal,
  })
  const found: Orphan[] = []
  for (const search of searches) for await (const orphans of search()) found.push(...orphans)
  return found
}

function parseLines(lines: string): Line[] {
  return lines
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

function kindsByKey(orphans: Line[]): Record<string, string> {
  return Object.fromEntries(orphans.map(({ key, kind, outcome }) => [key, `${kind} ${outcome}`]))
}

const local = { principal: 'test', requestId: 'R' }

interface ConsumeOptions {
  env?: Record<string, string>
  inference?: Partial<Inference>
}

/** Runs a consumer until the queue is empty. */
async function consume({ env, inference }: ConsumeOptions = {}): Promise<void> {
  const stub = createStubInference()
  const consumer = createConsumer({
    config: readConfig(consumerSettings, {
      ...stack.env,
      MUSIC_SECONDS: '0.1',
      GRACE_SECONDS: '2',
      LEASE_SECONDS: '3',
      ...env,
    }),
    credentials,
    jobs,
    inference: {
      ...stub,
      compose: async (clip, options) => {
        composed++
        return stub.compose(clip, options)
      },
      ...inference,
    },
    words: promptWords,
    logger: pino({ enabled: false }),
  })
  consumer.start()
  try {
    await until(async () => (await depth()) === 0)
  } finally {
    await consumer.stop()
  }
}

async function draw(seed: number): Promise<Buffer> {
  return drawPicture(seed, { width: 32, height: 24 }).jpeg().toBuffer()
}

async function upload(key: string, body = picture, s3: S3Client = stack.s3): Promise<void> {
  await s3.send(new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: key, Body: body }))
}

async function remove(key: string): Promise<void> {
  await stack.s3.send(new DeleteObjectCommand({ Bucket: stack.env.BUCKET, Key: key }))
}

async function list(prefix: string): Promise<string[]> {
  const { Contents = [] } = await stack.s3.send(new ListObjectsV2Command({ Bucket: stack.env.BUCKET, Prefix: prefix }))
  return Contents.map(({ Key }) => Key!)
}

async function send(body: string): Promise<void> {
  await sqs.send(new SendMessageCommand({ QueueUrl: stack.env.QUEUE_URL, MessageBody: body }))
}

/** The body of the one message on the queue, which is then empty. */
async function takeEvent(): Promise<string> {
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: stack.env.QUEUE_URL, WaitTimeSeconds: 5 }))
  await purge()
  return Messages![0]!.Body!
}

async function arrived(count: number): Promise<void> {
  await until(async () => (await depth()) >= count)
}

/** As if S3 had never sent them. */
async function lose(count: number): Promise<void> {
  await arrived(count)
  await purge()
}

async function purge(): Promise<void> {
  await sqs.send(new PurgeQueueCommand({ QueueUrl: stack.env.QUEUE_URL }))
}

async function depth(): Promise<number> {
  const { QUEUE_URL: queueUrl, DLQ_URL: dlqUrl } = stack.env
  const { visible, inFlight } = await createQueue({ sqs, queueUrl: queueUrl!, dlqUrl: dlqUrl! }).depth()
  return visible + inFlight
}

async function find(key: string): Promise<FoundJob> {
  return (await results.find({ key })) ?? assert.fail(`no job for ${key}`)
}

async function set(id: string, columns: Record<string, unknown>): Promise<void> {
  await database.run((db) => db.update(jobsTable).set(columns).where(eq(jobsTable.id, id)))
}

async function rowsUnder(prefix: string) {
  return database.run((db) =>
    db
      .select({ job: jobsTable, sha256: artAnalysis.musicSha256 })
      .from(jobsTable)
      .leftJoin(artAnalysis, eq(artAnalysis.jobId, jobsTable.id))
      .where(like(jobsTable.imageKey, `${prefix}%`)),
  )
}

/** Each picture has one row and one WAV, with the bytes and the words that the row tells of. */
async function assertWhole(keys: string[]): Promise<void> {
  for (const key of keys) {
    const { job, analysis } = await find(key)
    assert.equal(job.state, 'succeeded', `${key}: ${job.errorMessage}`)
    assert.equal(await database.run((db) => db.$count(artAnalysis, eq(artAnalysis.jobId, job.id))), 1)
    const { Body: body } = await stack.s3.send(
      new GetObjectCommand({ Bucket: stack.env.BUCKET, Key: musicKey(key, job.id) }),
    )
    const wav = Buffer.from(await body!.transformToByteArray())
    const { seconds, comment } = readWav(wav)!
    const sha256 = createHash('sha256').update(wav).digest('hex')
    assert.deepEqual([analysis!.musicBytes, analysis!.musicSha256], [wav.length, sha256], key)
    const { durationSeconds, prompt, seed, musicModel: model, musicModelRevision: revision } = analysis!
    assert.deepEqual([durationSeconds, { prompt, seed, model, revision }], [seconds, JSON.parse(comment!)], key)
  }
}

async function until(ask: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + patienceMs
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(`not so within ${patienceMs / 1000} s: ${ask}`)
    await sleep(20)
  }
}
