import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { eq, like, sql } from 'drizzle-orm'
import { jobId } from '#shared/contract/key.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { artAnalysis, artLabels, jobs as jobsTable, webhookDeliveries } from '#shared/db/schema.ts'
import { createWebhookQueue } from '#shared/db/webhooks.ts'
import { createWebhooks } from '../../services/api/webhooks/dispatcher.ts'
import { startDatabase } from '../../services/local/database.ts'
import { analysisOf, bucket, laterTake, uploadOf } from '../job.ts'

let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database

before(async () => {
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
})

after(async () => {
  await database?.close()
  await server?.close()
})

test('the statements of the README remove all that there is of a picture, and nothing of another', async () => {
  const [, statements] = (await readFile('README.md', 'utf8')).match(/^```sql\n(DELETE .*?)^```/ms)!
  const [, , key] = statements!.match(/bucket = '(.*?)' AND .*image_key = '(.*?)'/)!
  const [gone, kept] = [uploadOf(key!), uploadOf('uploads/2026/another.jpg')]
  const jobs = createJobs({ database })
  for (const upload of [gone, kept]) {
    await database.run((db) => db.insert(jobsTable).values(laterTake(upload, 1)))
    await jobs.receive({ ...upload, version: 'unfinished' })
    const id = await jobs.receive(upload)
    await jobs.claim(id, { token: 'a', leaseSeconds: 60 })
    await jobs.succeed({ id, token: 'a', analysis: analysisOf(upload) })
  }
  await failToTell()
  const countsOf = ({ key }: { key: string }) =>
    database.run((db) =>
      Promise.all([
        db.$count(jobsTable, eq(jobsTable.imageKey, key)),
        db.$count(artAnalysis, eq(artAnalysis.imageKey, key)),
        db.$count(artLabels, eq(artLabels.jobId, jobId(uploadOf(key)))),
        db.$count(webhookDeliveries, like(webhookDeliveries.payload, `%${key}%`)),
      ]),
    )
  assert.deepEqual(await countsOf(gone), [3, 1, 6, 1])
  for (const statement of statements!.split(';').filter((each) => each.trim())) {
    await database.run((db) => db.execute(sql.raw(statement.replace("'bucket'", `'${bucket}'`))))
  }
  assert.deepEqual(await countsOf(gone), [0, 0, 0, 0])
  assert.deepEqual(await countsOf(kept), [3, 1, 6, 1])
})

/** Webhooks that are to be tried again. */
async function failToTell(): Promise<void> {
  const queue = createWebhookQueue({ database })
  const endpoint = { id: 'e'.repeat(64), name: 'away', url: new URL('http://away'), wants: () => true, sign: () => '' }
  const logger = { debug() {}, warn() {}, error() {} }
  const webhooks = createWebhooks({
    queue,
    endpoints: [endpoint],
    send: async () => ({ status: 503, retryAfter: undefined }),
    logger,
  })
  await webhooks.runOnce({ until: new AbortController().signal })
}
