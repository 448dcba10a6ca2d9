import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { eq, sql } from 'drizzle-orm'
import { jobId } from '#shared/contract/key.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { createResults, type Results } from '#shared/db/results.ts'
import { artAnalysis, jobs as jobsTable } from '#shared/db/schema.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import { startDatabase } from '../../services/local/database.ts'
import { analysisOf, bucket, laterTake, uploadOf } from '../job.ts'

const leaseSeconds = 60

let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database
let jobs: Jobs
let results: Results

before(async () => {
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
  jobs = createJobs({ database })
  results = createResults({ database, bucket: bucket })
})

after(async () => {
  await database?.close()
  await server?.close()
})

test('of twenty that claim a job at once exactly one gets it', async () => {
  const id = await jobs.receive(uploadOf('uploads/raced.jpg'))
  const claims = await Promise.all(
    Array.from({ length: 20 }, () => jobs.claim(id, { token: randomUUID(), leaseSeconds })),
  )
  const outcomes = claims.map(({ outcome }) => outcome).sort()
  assert.deepEqual(outcomes, ['claimed', ...Array(19).fill('held')])
  assert.deepEqual(
    claims.find(({ outcome }) => outcome === 'claimed'),
    { outcome: 'claimed', attempt: 1 },
  )
})

test('of twenty that receive an upload at once one job comes', async () => {
  const upload = uploadOf('uploads/received.jpg')
  const ids = await Promise.all(Array.from({ length: 20 }, () => jobs.receive(upload)))
  assert.deepEqual(new Set(ids), new Set([jobId(upload)]))
  const rows = await database.run((db) => db.select().from(jobsTable).where(eq(jobsTable.id, ids[0]!)))
  assert.equal(rows.length, 1)
  assert.equal(rows[0]!.uploadedAt!.toISOString(), upload.eventTime)
  assert.ok(Math.abs(rows[0]!.createdAt.getTime() - Date.now()) < 60_000, 'the times of the database are UTC')
})

test('a claim repeated with its own token is the same claim, and another token must wait', async () => {
  const id = await jobs.receive(uploadOf('uploads/repeated.jpg'))
  assert.deepEqual(await jobs.claim(id, { token: 'a', leaseSeconds }), { outcome: 'claimed', attempt: 1 })
  assert.deepEqual(await jobs.claim(id, { token: 'a', leaseSeconds }), { outcome: 'claimed', attempt: 1 })
  const held = await jobs.claim(id, { token: 'b', leaseSeconds })
  assert.ok(held.outcome === 'held')
  assert.ok(held.leaseSeconds > leaseSeconds / 2 && held.leaseSeconds <= leaseSeconds, `${held.leaseSeconds} s left`)
})

test('a job never received cannot be claimed', async () => {
  assert.deepEqual(await jobs.claim('0'.repeat(32), { token: 'a', leaseSeconds }), { outcome: 'unknown' })
})

test('a lease that is over changes nothing, and the job goes to the next', async () => {
  const upload = uploadOf('uploads/expired.jpg')
  const id = await jobs.receive(upload)
  await jobs.claim(id, { token: 'first', leaseSeconds })
  await expire(id)
  const before = await rowOf(id)

  const first = { id, token: 'first' }
  assert.equal(await jobs.renew({ ...first, leaseSeconds }), false)
  assert.equal(await jobs.progress({ ...first, stage: 'composing', progress: 0.5 }), false)
  assert.equal(await jobs.succeed({ ...first, analysis: analysisOf(upload) }), false)
  assert.equal(await jobs.fail({ ...first, code: 'IMAGE_EMPTY', message: 'empty', retryable: false }), false)
  assert.equal(await jobs.release(first), false)
  assert.deepEqual(await rowOf(id), before)

  assert.deepEqual(await jobs.claim(id, { token: 'second', leaseSeconds }), { outcome: 'claimed', attempt: 2 })
  assert.equal(await jobs.succeed({ ...first, analysis: analysisOf(upload) }), false)
  assert.equal((await rowOf(id)).leaseToken, 'second')
  assert.equal(await analysesOf(id), 0)
})

test('a renewed lease goes on, and progress is seen', async () => {
  const id = await jobs.receive(uploadOf('uploads/renewed.jpg'))
  const lease = { id, token: 'a' }
  await jobs.claim(id, { token: 'a', leaseSeconds: 3 })
  const before = await rowOf(id)
  assert.equal(await jobs.renew({ ...lease, leaseSeconds: 600 }), true)
  assert.ok((await rowOf(id)).leaseExpiresAt!.getTime() - before.leaseExpiresAt!.getTime() > 500_000)
  assert.equal(await jobs.progress({ ...lease, stage: 'composing', progress: 0.25, etaSeconds: 7.5 }), true)
  const { stage, progress, etaSeconds } = await rowOf(id)
  assert.deepEqual({ stage, progress, etaSeconds }, { stage: 'composing', progress: 0.25, etaSeconds: 7.5 })
})

test('success is one row, however often it is written', async () => {
  const upload = uploadOf('uploads/done.jpg')
  const id = await jobs.receive(upload)
  const lease = { id, token: 'a' }
  await jobs.claim(id, { token: 'a', leaseSeconds })
  const analysis = analysisOf(upload)
  assert.deepEqual(await Promise.all([1, 2, 3].map(() => jobs.succeed({ ...lease, analysis }))), [true, true, true])
  assert.equal(await analysesOf(id), 1)
  assert.deepEqual(await jobs.claim(id, { token: 'b', leaseSeconds }), { outcome: 'settled', state: 'succeeded' })
  assert.equal(await jobs.fail({ ...lease, code: 'GENERATION_FAILED', message: 'late', retryable: true }), false)

  const [row] = await database.run((db) => db.select().from(artAnalysis).where(eq(artAnalysis.jobId, id)))
  const { id: rowId, jobId: ofJob, createdAt, ...written } = row!
  assert.ok(rowId > 0)
  assert.equal(ofJob, id)
  assert.ok(createdAt)
  assert.deepEqual(written, analysis)
})

test('an analysis that the database refuses leaves the job as it was, and is no outage', async () => {
  const upload = uploadOf('uploads/refused.jpg')
  const id = await jobs.receive(upload)
  await jobs.claim(id, { token: 'a', leaseSeconds })
  const analysis = { ...analysisOf(upload), genre: 'x'.repeat(101) }
  await assert.rejects(jobs.succeed({ id, token: 'a', analysis }), (error: Error) => {
    assert.ok(!(error instanceof RetryableFailure))
    assert.match(error.message, /^The database refused a statement: Data too long for column 'genre'/)
    return true
  })
  assert.equal((await rowOf(id)).state, 'processing')
  assert.equal(await analysesOf(id), 0)
})

test('a failed job keeps its error, cut to size, and is settled', async () => {
  const id = await jobs.receive(uploadOf('uploads/failed.jpg'))
  const lease = { id, token: 'a' }
  await jobs.claim(id, { token: 'a', leaseSeconds })
  assert.equal(await jobs.fail({ ...lease, code: 'IMAGE_CORRUPT', message: '😀'.repeat(600), retryable: false }), true)
  const { state, errorCode, errorMessage, errorRetryable, finishedAt } = await rowOf(id)
  assert.deepEqual(
    { state, errorCode, errorMessage, errorRetryable },
    { state: 'failed', errorCode: 'IMAGE_CORRUPT', errorMessage: '😀'.repeat(500), errorRetryable: false },
  )
  assert.ok(finishedAt)
  assert.deepEqual(await jobs.claim(id, { token: 'b', leaseSeconds }), { outcome: 'settled', state: 'failed' })
})

test('a released job is free at once; only a try that a shutdown cut short is not counted', async () => {
  const id = await jobs.receive(uploadOf('uploads/released.jpg'))
  await jobs.claim(id, { token: 'a', leaseSeconds })
  const error = { code: 'STORAGE_UNAVAILABLE', message: 'away', retryable: true } as const
  assert.equal(await jobs.release({ id, token: 'a', error }), true)
  const { state, attempt, errorCode } = await rowOf(id)
  assert.deepEqual({ state, attempt, errorCode }, { state: 'queued', attempt: 1, errorCode: 'STORAGE_UNAVAILABLE' })

  assert.deepEqual(await jobs.claim(id, { token: 'b', leaseSeconds }), { outcome: 'claimed', attempt: 2 })
  assert.equal(await jobs.release({ id, token: 'b', countAttempt: false }), true)
  assert.equal(await jobs.release({ id, token: 'b', countAttempt: false }), true)
  assert.deepEqual(await jobs.claim(id, { token: 'c', leaseSeconds }), { outcome: 'claimed', attempt: 2 })
})

for (const [name, more] of [
  ['a size past 64 bits', { size: 1e30 }],
  ['an etag past its column', { etag: 'x'.repeat(513) }],
] as const) {
  test(`${name} is a fault of the message, and no outage`, async () => {
    await assert.rejects(jobs.receive(uploadOf('uploads/odd.jpg', more)), (error: PermanentFailure) => {
      assert.ok(error instanceof PermanentFailure)
      assert.equal(error.code, 'MESSAGE_UNREADABLE')
      assert.match(error.message, /^The database refused a statement/)
      return true
    })
  })
}

for (const eventTime of ['yesterday', '-271821-04-20T00:00:00.000Z', '+010000-01-01T00:00:00.000Z', '']) {
  test(`the time ${eventTime || 'of nothing'} is none, and no reason to refuse the upload`, async () => {
    const id = await jobs.receive(uploadOf(`uploads/${eventTime}.jpg`, { eventTime }))
    assert.equal((await rowOf(id)).uploadedAt, null)
  })
}

test('a picture put back after its job failed begins anew, and nothing else does', async () => {
  const key = 'uploads/put back.jpg'
  const id = await jobs.receive(uploadOf(key, { sequencer: '0A' }))
  await jobs.claim(id, { token: 'a', leaseSeconds })
  const failure = { code: 'IMAGE_NOT_FOUND', message: 'gone', retryable: false } as const
  assert.equal(await jobs.fail({ id, token: 'a', ...failure }), true)
  const failed = await rowOf(id)

  for (const sequencer of ['0A', '09', '']) await jobs.receive(uploadOf(key, { sequencer }))
  assert.deepEqual(await rowOf(id), failed, 'events again, or older')

  await jobs.receive(uploadOf(key, { sequencer: '0A1' }))
  const { state, attempt, errorCode, errorMessage, errorRetryable, finishedAt } = await rowOf(id)
  assert.deepEqual(
    { state, attempt, errorCode, errorMessage, errorRetryable, finishedAt },
    { state: 'queued', attempt: 0, errorCode: null, errorMessage: null, errorRetryable: null, finishedAt: null },
  )
  assert.equal(await jobs.fail({ id, token: 'a', ...failure }), false, 'the last holder has nothing more to say')

  const again = { id, token: 'b' }
  assert.deepEqual(await jobs.claim(id, { token: 'b', leaseSeconds }), { outcome: 'claimed', attempt: 1 })
  assert.equal(await jobs.succeed({ ...again, analysis: analysisOf(uploadOf(key)) }), true)
  await jobs.receive(uploadOf(key, { sequencer: '0B' }))
  assert.equal((await rowOf(id)).state, 'succeeded')
})

test('a picture put back while its job is held begins anew when that has failed', async () => {
  const key = 'uploads/put back early.jpg'
  const id = await jobs.receive(uploadOf(key, { sequencer: '0A' }))
  await jobs.claim(id, { token: 'a', leaseSeconds })
  const putBack = uploadOf(key, { sequencer: '0B' })
  await jobs.receive(putBack)
  assert.equal((await jobs.claim(id, { token: 'b', leaseSeconds })).outcome, 'held')
  await jobs.fail({ id, token: 'a', code: 'IMAGE_NOT_FOUND', message: 'gone', retryable: false })
  await jobs.receive(putBack)
  assert.deepEqual(await jobs.claim(id, { token: 'c', leaseSeconds }), { outcome: 'claimed', attempt: 1 })
})

test('a dead letter sent again has its job begin anew, once per failure and for no other', async () => {
  const upload = uploadOf('uploads/replayed.jpg')
  const failure = { code: 'GENERATION_FAILED', message: 'no luck', retryable: true } as const
  const id = await jobs.receive(upload)
  await jobs.claim(id, { token: 'first', leaseSeconds })
  await jobs.receive(upload, 'first')
  assert.equal((await rowOf(id)).state, 'processing', 'it has not failed yet')
  await jobs.fail({ id, token: 'first', ...failure })
  const failed = await rowOf(id)
  for (const failureId of [undefined, '', 'second', 'FIRST']) await jobs.receive(upload, failureId)
  assert.deepEqual(await rowOf(id), failed)

  await Promise.all([1, 2, 3].map(() => jobs.receive(upload, 'first')))
  const { state, attempt, errorCode, finishedAt } = await rowOf(id)
  assert.deepEqual(
    { state, attempt, errorCode, finishedAt },
    { state: 'queued', attempt: 0, errorCode: null, finishedAt: null },
  )
  assert.deepEqual(await jobs.claim(id, { token: 'second', leaseSeconds }), { outcome: 'claimed', attempt: 1 })
  await jobs.fail({ id, token: 'second', ...failure })
  await jobs.receive(upload, 'first')
  assert.equal((await rowOf(id)).state, 'failed', 'the same message delivered again')

  await jobs.receive(upload, 'second')
  await jobs.claim(id, { token: 'third', leaseSeconds })
  await jobs.succeed({ id, token: 'third', analysis: analysisOf(upload) })
  await jobs.receive(upload, 'third')
  assert.equal((await rowOf(id)).state, 'succeeded')
})

test('a later take that failed begins anew for the failure that its dead letter names, and for no other', async () => {
  const take = laterTake(uploadOf('uploads/reopened.jpg'), 1)
  const { id } = take
  await database.run((db) => db.insert(jobsTable).values(take))
  await jobs.claim(id, { token: 'first', leaseSeconds })
  await jobs.fail({ id, token: 'first', code: 'GENERATION_FAILED', message: 'no luck', retryable: true })
  await jobs.reopen(id, 'another')
  assert.equal((await jobs.look(id))?.state, 'failed')
  await jobs.reopen(id, 'first')
  assert.equal((await jobs.look(id))?.state, 'queued')
})

test('a dead letter of an older event leaves the order of versions as it is', async () => {
  const key = 'uploads/replayed late.jpg'
  const id = await jobs.receive(uploadOf(key, { sequencer: '0B' }))
  await jobs.claim(id, { token: 'a', leaseSeconds })
  await jobs.fail({ id, token: 'a', code: 'IMAGE_NOT_FOUND', message: 'gone', retryable: false })
  await jobs.receive(uploadOf(key, { sequencer: '0A' }), 'a')
  const { state, sequencer } = await rowOf(id)
  assert.deepEqual([state, sequencer], ['queued', '0B'.padEnd(64, '0')])
})

test('keys are found byte for byte, up to 1,024 of them', async () => {
  const keys = [
    `uploads/${'한'.repeat(338)}ab`,
    'uploads/그림 +%2F😀.jpg',
    'uploads/그림 +/😀.jpg',
    'uploads/A.jpg',
    'uploads/a.jpg',
    'uploads/a.jpg ',
    "uploads/'; drop table jobs; --\\",
  ]
  assert.equal(Buffer.byteLength(keys[0]!), 1024)
  for (const key of keys) await jobs.receive(uploadOf(key))
  for (const key of keys) assert.equal((await results.find({ key }))?.job.imageKey, key)
  assert.equal(await results.find({ key: 'uploads/a.JPG' }), undefined)
  assert.equal(await createResults({ database, bucket: 'another' }).find({ key: keys[0]! }), undefined)
})

test('the newest version is the one with the greatest sequencer; older ones stay readable', async () => {
  const key = 'uploads/versions.jpg'
  await jobs.receive(uploadOf(key, { version: 'v2', sequencer: '0A1' }))
  await jobs.receive(uploadOf(key, { version: 'v1', sequencer: '0a' }))
  const later = laterTake(uploadOf(key, { version: 'v3', sequencer: '0A1F' }), 1)
  await database.run((db) => db.insert(jobsTable).values(later))
  assert.equal((await results.find({ key }))?.job.version, 'v2')
  assert.equal((await results.find({ key, version: 'v1' }))?.job.version, 'v1')
  assert.equal(await results.find({ key, version: 'v4' }), undefined)

  // The same bytes put back after others: the version that was is the newest again.
  await jobs.receive(uploadOf(key, { version: 'v1', sequencer: '0B' }))
  assert.equal((await results.find({ key }))?.job.version, 'v1')
  await jobs.receive(uploadOf(key, { version: 'v1', sequencer: '0A' }))
  assert.equal((await results.find({ key }))?.job.version, 'v1')
})

/** As time would; the database's clock is not ours to turn. */
async function expire(id: string): Promise<void> {
  await database.run((db) =>
    db.update(jobsTable).set({ leaseExpiresAt: sql`utc_timestamp(3) - interval 1 second` }).where(eq(jobsTable.id, id)),
  )
}

async function rowOf(id: string): Promise<typeof jobsTable.$inferSelect> {
  const [row] = await database.run((db) => db.select().from(jobsTable).where(eq(jobsTable.id, id)))
  assert.ok(row, `no job ${id}`)
  return row
}

async function analysesOf(id: string): Promise<number> {
  return database.run((db) => db.$count(artAnalysis, eq(artAnalysis.jobId, id)))
}
