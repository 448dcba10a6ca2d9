import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eq, sql } from 'drizzle-orm'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { createOrders } from '#shared/db/orders.ts'
import { webhookEvents } from '#shared/db/schema.ts'
import { startDatabase } from '../../services/local/database.ts'
import { analysisOf, bucket, uploadOf } from '../job.ts'

let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database
let jobs: Jobs

before(async () => {
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
  jobs = createJobs({ database })
})

after(async () => {
  await database?.close()
  await server?.close()
})

const failure = { code: 'IMAGE_CORRUPT', message: 'bad', retryable: false } as const

for (const [state, end] of [
  ['succeeded', (id, upload) => jobs.succeed({ id, token: 'a', analysis: analysisOf(upload) })],
  ['failed', (id) => jobs.fail({ id, token: 'a', ...failure })],
  ['canceled', (_, { key }) => createOrders({ database, bucket }).cancel({ key })],
] as [string, (id: string, upload: ReturnType<typeof uploadOf>) => Promise<unknown>][]) {
  test(`a job is ${state} only if that can be told: its end and its event are written both or neither`, async () => {
    const upload = uploadOf(`uploads/${state}.jpg`)
    const id = await jobs.receive(upload)
    await jobs.claim(id, { token: 'a', leaseSeconds: 60 })
    await rename('webhook_events', 'webhook_events_away')
    await assert.rejects(end(id, upload))
    await rename('webhook_events_away', 'webhook_events')
    assert.equal((await jobs.look(id))?.state, 'processing')
    await end(id, upload)
    assert.equal((await jobs.look(id))?.state, state)
    const events = await database.run((db) => db.select().from(webhookEvents).where(eq(webhookEvents.jobId, id)))
    assert.deepEqual(
      events.map((event) => event.state),
      [state],
    )
  })
}

async function rename(from: string, to: string): Promise<void> {
  await database.run((db) => db.execute(sql.raw(`rename table ${from} to ${to}`)))
}
