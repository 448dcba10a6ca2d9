import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { jobId } from '#shared/contract/key.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { createOrders, type Orders } from '#shared/db/orders.ts'
import { createResults, type Results, subjectOf } from '#shared/db/results.ts'
import { startDatabase } from '../../services/local/database.ts'
import { analysisOf, bucket, uploadOf } from '../job.ts'
import { watchDatabase } from '../watched-database.ts'

const count = 3_000
/** Rows that may be read, of tables and of indexes, however many there are of a key. */
const few = 20

/** One picture with so many takes, one with so many versions, and one with so many versions of a later take. */
const takes = uploadOf('uploads/takes.jpg')
const versions = uploadOf('uploads/versions.jpg', { sequencer: 'F0' })
const laterVersions = uploadOf('uploads/later-versions.jpg', { sequencer: 'F0' })

let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database
let watched: Awaited<ReturnType<typeof watchDatabase>>
let results: Results
let orders: Orders

before(async () => {
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
  watched = await watchDatabase(server.url)
  const jobs = createJobs({ database })
  for (const upload of [takes, versions, laterVersions]) {
    const id = await jobs.receive(upload)
    await jobs.claim(id, { token: 'a', leaseSeconds: 60 })
    await jobs.succeed({ id, token: 'a', analysis: analysisOf(upload) })
  }
  await copy(takes, { version: `'e1'`, take: 'seq', sequencer: 'sequencer' })
  await copy(versions, { version: `concat('older ', seq)`, take: '0', sequencer: `lpad(hex(seq), 64, '0')` })
  await copy(laterVersions, { version: `concat('older ', seq)`, take: '1', sequencer: `lpad(hex(seq), 64, '0')` })
  await watched.connection.query('analyze table jobs')
  results = createResults({ database: watched.database, bucket })
  orders = createOrders({ database: watched.database, bucket })
})

after(async () => {
  await watched?.close()
  await database?.close()
  await server?.close()
})

for (const upload of [takes, versions]) {
  test(`of ${count} jobs of ${upload.key} the newest is found without the others`, async () => {
    await watched.forget()
    const found = await results.find({ key: upload.key })
    assert.equal(found?.job.id, jobId(upload))
    await assertFewRead()
    await watched.assertPlans()
  })

  test(`where ${upload.key} stands is read from the index, and of the table the newest alone`, async () => {
    await watched.forget()
    const standings = await results.standings([subjectOf(bucket, { key: upload.key })])
    assert.deepEqual(
      standings.map(({ id }) => id),
      [jobId(upload)],
    )
    const rowsRead = await watched.rowsRead()
    const [asked] = await watched.plans()
    assert.ok(rowsRead <= count + few, `read ${rowsRead} rows`)
    const search = asked?.plan.find((each) => each.select_type === 'DERIVED')
    assert.match(search?.Extra, /Using index/)
  })

  test(`another take on ${upload.key} gets the next number without a look at the others`, async () => {
    await watched.forget()
    const ordered = await orders.order({ key: upload.key }, { caller: 'a' })
    assert.ok(ordered.outcome === 'placed')
    assert.equal(ordered.found.job.take, upload === takes ? count + 1 : 1)
    await assertFewRead()
  })
}

test(`an upload is canceled before its event has come without a look at ${count} versions`, async () => {
  const { key, etag, size } = versions
  await watched.forget()
  const canceled = await orders.cancelUpload({ key, version: 'e2', etag, size, eventTime: new Date().toISOString() })
  assert.equal(canceled?.job.state, 'canceled')
  await assertFewRead()
  assert.equal((await results.find({ key }))?.job.version, 'e2')
})

test('the newest version of a later take is found without the others', async () => {
  await watched.forget()
  const found = await results.find({ key: laterVersions.key, take: 1 })
  assert.equal(found?.job.version, `older ${count}`)
  await assertFewRead()
  await watched.assertPlans()
})

async function assertFewRead(): Promise<void> {
  const rowsRead = await watched.rowsRead()
  assert.ok(rowsRead <= few, `read ${rowsRead} rows`)
}

/** More jobs of a picture, which differ in these columns. */
async function copy({ key }: { key: string }, columns: { version: string; take: string; sequencer: string }) {
  const { version, take, sequencer } = columns
  await watched.connection.query(
    `insert into jobs (id, bucket, image_key, key_digest, version, etag, take, size_bytes, sequencer, state, progress, attempt,
       created_at, updated_at)
     select md5(concat(image_key, seq)), bucket, image_key, key_digest, ${version}, etag, ${take}, size_bytes, ${sequencer}, state, 1, 1,
       created_at - interval seq second, updated_at
     from jobs, seq_1_to_${count} where image_key = ?`,
    [key],
  )
}
