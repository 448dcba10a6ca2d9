import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { eq } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/mysql2'
import { createConnection } from 'mysql2/promise'
import { pino } from 'pino'
import type { ImageUploaded } from '#shared/contract/queue-message.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { connectionOptions } from '#shared/db/connection.ts'
import { cancelJob } from '#shared/db/job-end.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { jobs as jobsTable } from '#shared/db/schema.ts'
import { createPipeline } from '../../services/consumer/pipeline/process-image.ts'
import { readPicture } from '../../services/consumer/pipeline/read-picture.ts'
import { startDatabase } from '../../services/local/database.ts'
import { uploadOf } from '../job.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'

const leaseSeconds = 60
const later = { sequencer: '0C', eventTime: '2026-01-02T03:05:05.678Z' }

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

for (const [when, number] of [
  ['before', 1],
  ['amid', 2],
] as const) {
  test(`a job whose holder finds no picture ${when} the receiving of one put back begins anew`, async () => {
    const key = `uploads/${when}.jpg`
    const id = await hold(key)
    await receiveWhile(uploadOf(key, later), number, () => failOf(id))
    assert.deepEqual(await jobs.claim(id, { token: 'second', leaseSeconds }), { outcome: 'claimed', attempt: 1 })
    assert.match((await rowOf(id)).sequencer, /^0C0/)
  })
}

test('a job whose holder finds no picture after the receiving of one put back begins anew when its message asks again', async () => {
  const id = await hold('uploads/after.jpg')
  const work = {
    delivery: {
      messageId: 'm',
      traceHeaders: [],
      receiveCount: 1,
      extend: async () => true,
      deadLetter: async () => assert.fail(),
    },
    logger: pino({ enabled: false }),
    signal: new AbortController().signal,
  }
  let claims = 0
  const inference = createStubInference()
  const { graphs } = inference.classifierManifest.classifier
  const bytes = await drawPicture(1, { width: 64, height: 48 }).jpeg().toBuffer()
  const pipeline = createPipeline({
    objects: { get: async () => ({ bytes, metadata: {} }), put: async ({ body }) => body },
    pictures: { read: (bytes) => readPicture(bytes, { maxPixels: 1e6, graphs }) },
    inference,
    words: promptWords,
    now: Date.now,
    random: Math.random,
    region: 'us-east-1',
    leaseSeconds,
    maxAttempts: 1,
    outages: { begin: () => assert.fail(), isOwnFault: async () => assert.fail() },
    observer: { tryEnded() {} },
    maxImageBytes: 1e6,
    musicSeconds: 0.1,
    jobs: {
      ...jobs,
      claim: async (...args) => {
        if (claims++ === 0) await failOf(id)
        return jobs.claim(...args)
      },
    },
  })
  const outcome = await pipeline.processImage({ ...work, assignment: uploadOf('uploads/after.jpg', later) })
  assert.deepEqual([outcome, claims, (await rowOf(id)).state], ['settled', 2, 'succeeded'])
})

test('a job that is canceled amid the receiving stays so', async () => {
  const id = await hold('uploads/canceled.jpg')
  const cancel = () => database.run((db) => db.transaction((transaction) => cancelJob(transaction, id)))
  await receiveWhile(uploadOf('uploads/canceled.jpg', later), 2, cancel)
  assert.equal((await rowOf(id)).state, 'canceled')
})

for (const [what, happen] of [
  ['begins anew for its dead letter', (key: string) => failAndReplay(key)],
  ['is given back', (_: string, id: string) => jobs.release({ id, token: 'holder' })],
] as const) {
  test(`a job that ${what} amid the receiving of its picture put back has the order of that`, async () => {
    const key = `uploads/${what}.jpg`
    const id = await hold(key)
    if (what !== 'is given back') await failOf(id)
    await receiveWhile(uploadOf(key, later), 2, async () => void (await happen(key, id)))
    const { state, sequencer } = await rowOf(id)
    assert.deepEqual([state, sequencer.slice(0, 3)], ['queued', '0C0'])
  })
}

const failAndReplay = (key: string) => jobs.receive(uploadOf(key), 'holder')

/** Receives an upload; before the statement of that number something happens. */
async function receiveWhile(upload: ImageUploaded, number: number, happen: () => Promise<void>): Promise<void> {
  const connection = await createConnection(connectionOptions({ url: server.url, tls: 'off' }))
  const query = connection.query.bind(connection) as (...args: unknown[]) => Promise<unknown>
  let statements = 0
  const client = {
    query: async (...args: unknown[]) => {
      if (++statements === number) await happen()
      return query(...args)
    },
  }
  const db = drizzle({ client: client as never })
  const run = (operation: (on: never) => unknown) => operation(db as never)
  await createJobs({ database: { ...database, run } as Database }).receive(upload)
  await connection.end()
  assert.ok(statements >= number)
}

async function hold(key: string): Promise<string> {
  const id = await jobs.receive(uploadOf(key))
  await jobs.claim(id, { token: 'holder', leaseSeconds })
  return id
}

async function failOf(id: string): Promise<void> {
  const failure = { code: 'IMAGE_NOT_FOUND', message: 'overwritten', retryable: false } as const
  assert.equal(await jobs.fail({ id, token: 'holder', ...failure }), true)
}

async function rowOf(id: string) {
  const [row] = await database.run((db) => db.select().from(jobsTable).where(eq(jobsTable.id, id)))
  return row!
}
