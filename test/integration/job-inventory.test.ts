import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eq } from 'drizzle-orm'
import { jobId } from '#shared/contract/key.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobInventory, type InventoriedJob, type JobInventory } from '#shared/db/job-inventory.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { createResults, type Results } from '#shared/db/results.ts'
import { artAnalysis, jobs as jobsTable } from '#shared/db/schema.ts'
import { startDatabase } from '../../services/local/database.ts'
import { analysisOf, bucket, laterTake, uploadOf } from '../job.ts'

const leaseSeconds = 60

let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database
let jobs: Jobs
let results: Results
let inventory: JobInventory

before(async () => {
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
  jobs = createJobs({ database })
  results = createResults({ database, bucket: bucket })
  inventory = createJobInventory({ database, bucket })
})

after(async () => {
  await database?.close()
  await server?.close()
})

test('the newest version of each of many keys is the one that is found by its key alone', async () => {
  const keys = ['uploads/a', 'uploads/A', 'uploads/그림 +%😀', `uploads/${'한'.repeat(338)}ab`]
  for (const key of keys) {
    for (const [version, sequencer] of [
      ['v1', '0A'],
      ['v3', '0B1'],
      ['v2', '0B'],
    ] as const) {
      await jobs.receive(uploadOf(key, { version, versionId: version, sequencer }))
    }
    const later = laterTake(uploadOf(key, { version: 'v4', sequencer: '0F' }), 1)
    await database.run((db) => db.insert(jobsTable).values(later))
    await jobs.receive(uploadOf(key, { bucket: 'another', version: 'v5', sequencer: '0F' }))
  }
  const newest = await inventory.newest([...keys, 'uploads/unknown'])
  assert.deepEqual([...newest.keys()].toSorted(), keys.toSorted())
  for (const key of keys) {
    const { job } = (await results.find({ key }))!
    const { version, versionId, etag, sequencer, uploadedAt } = newest.get(key)!
    assert.equal(version, 'v3')
    assert.deepEqual(
      { version, versionId, etag, sequencer, uploadedAt },
      {
        version: job.version,
        versionId: job.versionId,
        etag: job.etag,
        sequencer: job.sequencer,
        uploadedAt: job.uploadedAt,
      },
    )
  }
  assert.equal((await inventory.newest([])).size, 0)
})

test('pages give every job of the bucket once', async () => {
  const uploads = Array.from({ length: 1_100 }, (_, index) => uploadOf(`uploads/many/${index}`))
  for (const upload of uploads) await jobs.receive(upload)
  const ids = (await all()).map(({ id }) => id)
  assert.equal(new Set(ids).size, ids.length)
  for (const upload of uploads) assert.ok(ids.includes(jobId(upload)))
  const states = await inventory.states([jobId(uploads[0]!), '0'.repeat(32)])
  const id = jobId(uploads[0]!)
  assert.deepEqual([...states], [[id, { id, state: 'queued', take: 0 }]])
})

test('a success that is opened again is made once more, by a new holder, into the same row', async () => {
  const upload = uploadOf('uploads/again.jpg')
  const analysis = analysisOf(upload)
  const id = await jobs.receive(upload)
  await jobs.claim(id, { token: 'a', leaseSeconds })
  assert.equal(await inventory.win(await one(id), 'w'), false, 'work that is under way is not touched')
  await jobs.succeed({ id, token: 'a', analysis })
  const found = await one(id)
  assert.equal(found.musicSha256, analysis.musicSha256)

  assert.equal(await inventory.win({ id, updatedAt: new Date(found.updatedAt.getTime() - 1) }, 'w'), false)
  assert.equal(await inventory.reopen(id, 'w'), false, 'another success than the one found')
  assert.equal(await inventory.win(found, 'w'), true)
  assert.equal(await inventory.win(found, 'w'), true, 'won already')
  assert.equal((await one(id)).state, 'succeeded')
  assert.equal(await inventory.reopen(id, 'w'), true)
  assert.equal(await inventory.reopen(id, 'w'), true, 'queued already')
  assert.equal(await jobs.succeed({ id, token: 'a', analysis }), false, 'the last holder has nothing more to say')

  assert.deepEqual(await jobs.claim(id, { token: 'b', leaseSeconds }), { outcome: 'claimed', attempt: 1 })
  const { embedding: _, ...changed } = { ...analysis, musicBytes: 1, musicSha256: 'cd'.repeat(32), prompt: 'A gavotte' }
  assert.equal(await jobs.succeed({ id, token: 'b', analysis: changed }), true)
  const rows = await database.run((db) => db.select().from(artAnalysis).where(eq(artAnalysis.jobId, id)))
  const [{ id: _row, jobId: _job, createdAt: _created, ...written }, ...others] = rows as [(typeof rows)[number]]
  assert.deepEqual(others, [])
  assert.deepEqual(written, { ...changed, embedding: null })
})

test('of many who found the same success one wins it, and loses it to who finds it after', async () => {
  const upload = uploadOf('uploads/won.jpg')
  const id = await jobs.receive(upload)
  await jobs.claim(id, { token: 'a', leaseSeconds })
  await jobs.succeed({ id, token: 'a', analysis: analysisOf(upload) })
  // Not even the clock, which stands still or was put back, lets two of them win.
  const later = new Date(Date.now() + 3_600_000)
  await database.run((db) => db.update(jobsTable).set({ updatedAt: later }).where(eq(jobsTable.id, id)))
  const found = await one(id)
  const tokens = Array.from({ length: 8 }, (_, index) => `w${index}`)
  const won = await Promise.all(tokens.map((token) => inventory.win(found, token)))
  assert.equal(won.filter(Boolean).length, 1)
  const first = tokens[won.indexOf(true)]!

  assert.equal(await inventory.win(await one(id), 'later'), true)
  assert.equal(await inventory.reopen(id, first), false)
  assert.equal((await one(id)).state, 'succeeded')
  assert.equal(await inventory.reopen(id, 'later'), true)
})

async function all(): Promise<InventoriedJob[]> {
  const found: InventoriedJob[] = []
  for (let page = await inventory.page('', { stuckSeconds: 0 }); page.length; ) {
    found.push(...page)
    page = await inventory.page(page.at(-1)!.id, { stuckSeconds: 0 })
  }
  return found
}

async function one(id: string): Promise<InventoriedJob> {
  return (await all()).find((job) => job.id === id) ?? assert.fail(`no job ${id}`)
}
