import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { and, count, eq, gte } from 'drizzle-orm'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { type Consumers, createConsumers, type SignOfLife } from '#shared/db/consumers.ts'
import { createFiguresReader, type FiguresReader } from '#shared/db/figures.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { jobs as jobsTable } from '#shared/db/schema.ts'
import { startDatabase } from '../../services/local/database.ts'
import { analysisOf, bucket, uploadOf } from '../job.ts'
import { watchDatabase } from '../watched-database.ts'

// The tests follow one another: there are ever more jobs.

let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database
let watched: Awaited<ReturnType<typeof watchDatabase>>
let figures: FiguresReader
let consumers: Consumers

before(async () => {
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
  watched = await watchDatabase(server.url)
  figures = createFiguresReader({ database: watched.database })
  consumers = createConsumers({ database: watched.database })
})

after(async () => {
  await watched?.close()
  await database?.close()
  await server?.close()
})

test('a database without jobs and consumers has nothing to tell', async () => {
  const { at, failures, ...rest } = await figures.read()
  assert.ok(Math.abs(at.getTime() - Date.now()) < 60_000)
  assert.deepEqual(rest, { queued: 0, processing: 0, oldestSeconds: undefined, recent: [] })
  assert.deepEqual(failures, { since: new Date(at.getTime() - 86_400_000), byCode: [] })
  assert.deepEqual(await consumers.list(), [])
})

test('jobs are told of as they are: waiting, in work, failed by code, and how long those took that succeeded', async () => {
  const jobs = createJobs({ database })
  const receive = (name: string) => jobs.receive(uploadOf(`uploads/${name}.jpg`))
  const claim = async (name: string) => {
    const lease = { id: await receive(name), token: 'a' }
    await jobs.claim(lease.id, { token: 'a', leaseSeconds: 60 })
    return lease
  }
  const oldest = await receive('waiting')
  await setTimes(oldest, { createdAt: ago(90) })
  for (const name of ['working', 'working-too']) await claim(name)
  for (const [name, code] of [
    ['corrupt', 'IMAGE_CORRUPT'],
    ['empty', 'IMAGE_EMPTY'],
    ['corrupt-too', 'IMAGE_CORRUPT'],
    ['long-ago', 'IMAGE_EMPTY'],
    ['yesterday', 'IMAGE_EMPTY'],
  ] as const) {
    const lease = await claim(name)
    await jobs.fail({ ...lease, code, message: 'so it is', retryable: false })
    if (name === 'long-ago') await setTimes(lease.id, { updatedAt: ago(86_410) })
    if (name === 'yesterday') await setTimes(lease.id, { updatedAt: ago(86_300) })
  }
  for (const [name, totalMs] of [
    ['first', 700],
    ['second', 800],
  ] as const) {
    const lease = await claim(name)
    const timings = { queueMs: 100, fetchMs: 20, classifyMs: 30, generateMs: 400, storeMs: 50, totalMs }
    await jobs.succeed({ ...lease, analysis: { ...analysisOf(uploadOf(`uploads/${name}.jpg`)), ...timings } })
    if (name === 'first') await setTimes(lease.id, { updatedAt: ago(5) })
  }

  const { queued, processing, oldestSeconds, failures, recent } = await figures.read()
  assert.deepEqual([queued, processing], [1, 2])
  assert.ok(oldestSeconds! >= 90 && oldestSeconds! < 150, `${oldestSeconds}`)
  assert.deepEqual(failures.byCode, [
    { code: 'IMAGE_CORRUPT', jobs: 2 },
    { code: 'IMAGE_EMPTY', jobs: 2 },
  ])
  const timings = { queueMs: 100, fetchMs: 20, classifyMs: 30, generateMs: 400, storeMs: 50 }
  assert.deepEqual(
    recent.map(({ finishedAt, ...rest }) => rest),
    [
      { key: 'uploads/second.jpg', take: 0, ...timings, totalMs: 800 },
      { key: 'uploads/first.jpg', take: 0, ...timings, totalMs: 700 },
    ],
  )
  assert.ok(recent[0]!.finishedAt > recent[1]!.finishedAt)

  // One that begins anew is no failure, and one in work may be the oldest.
  await setTimes(oldest, { createdAt: new Date() })
  await jobs.receive(uploadOf('uploads/corrupt.jpg', { sequencer: '0B' }))
  const reopened = await figures.read()
  assert.equal(reopened.queued, 2)
  assert.deepEqual(reopened.failures.byCode[0], { code: 'IMAGE_EMPTY', jobs: 2 })
  assert.ok(reopened.oldestSeconds! < 60)
})

test('of 20,000 jobs a few are read, each statement along an index', async () => {
  await watched.connection.query(bulk('succeeded', 18_000))
  await watched.connection.query(bulk('failed', 2_000))
  await watched.connection.query('analyze table jobs')
  await watched.forget()
  const { queued, processing, failures, recent } = await figures.read()
  const rowsRead = await watched.rowsRead()
  await watched.assertPlans()
  assert.deepEqual([queued, processing], [2, 2])
  assert.deepEqual(failures.byCode, await countFailures(failures.since))
  const inFailures = failures.byCode.reduce((sum, { jobs }) => sum + jobs, 0)
  assert.ok(inFailures > 100 && inFailures < 200, `${inFailures}`)
  // Those of the bulk have no analysis.
  assert.equal(recent.length, 2)
  assert.ok(rowsRead < 1_000, `${rowsRead} rows were read`)
})

test('no more than 10,000 jobs are counted, the oldest among them', async () => {
  await watched.connection.query(bulk('queued', 15_000))
  await watched.connection.query(bulk('failed', 12_000, { name: 'storm', everySeconds: 1 }))
  await watched.connection.query('analyze table jobs')
  await watched.forget()
  const { queued, oldestSeconds, failures } = await figures.read()
  const rowsRead = await watched.rowsRead()
  await watched.assertPlans()
  assert.equal(queued, 10_000)
  assert.ok(oldestSeconds! > 15_000 * 600, `${oldestSeconds}`)
  assert.equal(
    failures.byCode.reduce((sum, { jobs }) => sum + jobs, 0),
    10_000,
  )
  // Each that is counted, from its index, from the slice and, to group it, once more.
  assert.ok(rowsRead < 51_000, `${rowsRead} rows were read`)
})

test('a consumer is alive while it was seen within a minute, by the clock of the database', async () => {
  await consumers.write(sign('1', { uptimeSeconds: 30 }))
  await consumers.write(sign('2', { inWork: 0, outages: [], executionProviders: ['cpu'], realTimeFactor: null }))
  const [second, first] = await consumers.list()
  assert.deepEqual([first!.alive, second!.alive], [true, true])
  const { uptimeSeconds, ...written } = sign('1')
  assert.deepEqual({ ...first, ...written }, first)
  assert.deepEqual([second!.outages, second!.executionProviders, second!.realTimeFactor], [[], ['cpu'], null])
  assert.equal(first!.seenAt.getTime() - first!.startedAt.getTime(), 30_000)

  await seen('1', 59)
  assert.equal((await find('1'))!.alive, true)
  // Killed, say: its row stays.
  await seen('1', 61)
  assert.equal((await find('1'))!.alive, false)
  await consumers.write(sign('1', { uptimeSeconds: 300, inWork: 2, state: 'stopping' }))
  const back = (await find('1'))!
  assert.deepEqual([back.alive, back.inWork, back.state], [true, 2, 'stopping'])
  assert.deepEqual(back.startedAt, first!.startedAt)

  for (let i = 0; i < 2; i++) await consumers.remove(sign('1').id)
  assert.deepEqual(
    (await consumers.list()).map(({ id }) => id),
    [sign('2').id],
  )
})

test('what was not seen for a day is removed by whoever writes, and 200 are listed at most', async () => {
  for (const id of ['3', '4']) await consumers.write(sign(id))
  await seen('3', 86_390)
  await seen('4', 86_410)
  await consumers.write(sign('2'))
  assert.equal((await find('3'))!.alive, false)
  assert.equal(await find('4'), undefined)

  await watched.connection.query(
    `insert into consumers select md5(seq), version, started_at, utc_timestamp(3) - interval seq minute, state, in_work, slots, outages,
       execution_providers, music_model, music_model_revision, classifier_model, classifier_model_revision, clips,
       real_time_factor, received_age_seconds
     from consumers, seq_1_to_1000 where id = '${sign('2').id}'`,
  )
  await watched.connection.query('analyze table consumers')
  await watched.forget()
  const listed = await consumers.list()
  assert.ok((await watched.rowsRead()) < 250)
  await watched.assertPlans()
  assert.equal(listed.length, 200)
  assert.equal(listed[0]!.id, sign('2').id)
  assert.deepEqual(
    listed.map(({ seenAt }) => seenAt),
    listed.map(({ seenAt }) => seenAt).toSorted((one, other) => other.getTime() - one.getTime()),
  )
})

/** Jobs that changed last so many seconds ago, twice as many and so on, when they were created too. */
function bulk(state: string, jobCount: number, { name = state, everySeconds = 600 } = {}): string {
  const then = `utc_timestamp(3) - interval ${everySeconds} * seq second`
  return `insert into jobs (id, bucket, image_key, key_digest, version, etag, take, size_bytes, sequencer, state, progress, attempt,
      error_code, created_at, updated_at)
    select md5(concat('${name}', seq)), '${bucket}', concat('uploads/${name}/', seq), sha2(seq, 256), 'v', 'e', 0, seq, '', '${state}',
      0, 1, if('${state}' = 'failed', if(seq % 3, 'GENERATION_FAILED', 'IMAGE_CORRUPT'), null), ${then}, ${then}
    from seq_1_to_${jobCount}`
}

/** As whoever knows no index would. */
async function countFailures(since: Date) {
  const ofCode = await database.run((db) =>
    db
      .select({ code: jobsTable.errorCode, jobs: count() })
      .from(jobsTable)
      .where(and(eq(jobsTable.state, 'failed'), gte(jobsTable.updatedAt, since)))
      .groupBy(jobsTable.errorCode),
  )
  return ofCode.sort((one, other) => other.jobs - one.jobs)
}

function sign(digit: string, more: Partial<SignOfLife> = {}): SignOfLife {
  return {
    id: digit.repeat(32),
    version: '1.2.3',
    state: 'running',
    inWork: 3,
    slots: 4,
    outages: ['STORAGE_UNAVAILABLE', 'QUEUE_UNAVAILABLE'],
    executionProviders: ['cuda', 'cpu'],
    musicModel: 'musicgen',
    musicModelRevision: 'r1',
    classifierModel: 'clip',
    classifierModelRevision: 'r2',
    clips: 12,
    realTimeFactor: 3.25,
    receivedAgeSeconds: 0.5,
    uptimeSeconds: 0,
    ...more,
  }
}

async function find(digit: string) {
  return (await consumers.list()).find(({ id }) => id === sign(digit).id)
}

async function seen(digit: string, secondsAgo: number): Promise<void> {
  await watched.connection.query('update consumers set seen_at = utc_timestamp(3) - interval ? second where id = ?', [
    secondsAgo,
    sign(digit).id,
  ])
}

async function setTimes(id: string, times: { createdAt?: Date; updatedAt?: Date }): Promise<void> {
  await database.run((db) => db.update(jobsTable).set(times).where(eq(jobsTable.id, id)))
}

function ago(seconds: number): Date {
  return new Date(Date.now() - seconds * 1000)
}
