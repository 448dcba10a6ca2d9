import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eq, sql } from 'drizzle-orm'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { createResults, type Results } from '#shared/db/results.ts'
import { artAnalysis, jobs as jobsTable } from '#shared/db/schema.ts'
import type { RetryableFailure } from '#shared/failure.ts'
import { startDatabase } from '../../services/local/database.ts'
import { analysisOf, bucket, uploadOf } from '../job.ts'
import { startTcpProxy } from '../tcp-proxy.ts'

const leaseSeconds = 60

let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database
let jobs: Jobs
let _results: Results

before(async () => {
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
  jobs = createJobs({ database })
  _results = createResults({ database, bucket: bucket })
})

after(async () => {
  await database?.close()
  await server?.close()
})

test('a connection dropped while idle is not an error that a caller sees', async () => {
  const proxy = await startTcpProxy(Number(new URL(server.url).port))
  const distant = openDatabase({ url: through(proxy.port), tls: 'off', connectionLimit: 2 })
  try {
    const distantJobs = createJobs({ database: distant })
    const id = await distantJobs.receive(uploadOf('uploads/dropped.jpg'))
    proxy.resetNext()
    assert.deepEqual(await distantJobs.claim(id, { token: 'a', leaseSeconds }), { outcome: 'claimed', attempt: 1 })
    proxy.resetNext()
    assert.equal(await distantJobs.succeed({ id, token: 'a', analysis: analysisOf(uploadOf('k')) }), true)
    assert.equal(await analysesOf(id), 1)
  } finally {
    await distant.close()
    await proxy.close()
  }
})

test('a connection that the server ends is replaced', async () => {
  const own = openDatabase({ url: server.url, tls: 'off', connectionLimit: 2 })
  try {
    const connectionId = () => own.run((db) => db.execute(sql`select connection_id() as id`))
    const first = (await connectionId())[0] as unknown as { id: number }[]
    await database.run((db) => db.execute(sql.raw(`kill ${first[0]!.id}`)))
    const second = (await connectionId())[0] as unknown as { id: number }[]
    assert.notEqual(second[0]!.id, first[0]!.id)
  } finally {
    await own.close()
  }
})

test('a server that hangs is DATABASE_UNAVAILABLE in bounded time, inside a transaction too, and back when it is', async () => {
  const proxy = await startTcpProxy(Number(new URL(server.url).port))
  const distant = openDatabase({ url: through(proxy.port), tls: 'off', connectionLimit: 2, timeoutSeconds: 0.2 })
  try {
    const distantJobs = createJobs({ database: distant })
    const upload = uploadOf('uploads/hung.jpg')
    const id = await distantJobs.receive(upload)
    await distantJobs.claim(id, { token: 'a', leaseSeconds })
    proxy.hold()
    const analysis = analysisOf(upload)
    const calls = Array.from({ length: 6 }, () => distantJobs.succeed({ id, token: 'a', analysis }))
    for (const { status, reason } of (await Promise.allSettled(calls)) as PromiseRejectedResult[]) {
      assert.equal(status, 'rejected')
      assert.equal(reason.code, 'DATABASE_UNAVAILABLE')
    }
    proxy.pass()
    assert.equal(await distantJobs.succeed({ id, token: 'a', analysis }), true)
  } finally {
    await distant.close()
    await proxy.close()
  }
})

test('a statement that is given up ends on the server too, and who waits longer lets it run longer', async () => {
  const impatient = openDatabase({ url: server.url, tls: 'off', connectionLimit: 2, timeoutSeconds: 0.3 })
  const patient = openDatabase({ url: server.url, tls: 'off', connectionLimit: 2, timeoutSeconds: 60 })
  const long = sql`select sum(one.seq * other.seq) from seq_1_to_100000000 as one, seq_1_to_100000 as other`
  const running = async () => {
    const [rows] = await database.run((db) =>
      db.execute(sql`select id from information_schema.processlist where info like 'select sum(one.seq%'`),
    )
    return (rows as unknown as unknown[]).length
  }
  try {
    const givenUp = [1, 2, 3, 4].map(() => impatient.run((db) => db.execute(long)))
    for (const { status, reason } of (await Promise.allSettled(givenUp)) as PromiseRejectedResult[]) {
      assert.equal(status, 'rejected')
      assert.equal(reason.code, 'DATABASE_UNAVAILABLE')
    }
    const deadline = Date.now() + 5_000
    while (await running()) {
      assert.ok(Date.now() < deadline, `${await running()} statements go on`)
      await sleep(20)
    }
    const [rows] = await patient.run((db) => db.execute(sql`select @@max_statement_time as seconds`))
    assert.deepEqual(rows, [{ seconds: 61 }])
  } finally {
    await impatient.close()
    await patient.close()
  }
})

test('what a machine has locked that vanished in the midst of a transaction is free when the server gives it up', async () => {
  const id = await jobs.receive(uploadOf('uploads/locked.jpg'))
  const vanished = openDatabase({ url: server.url, tls: 'off', connectionLimit: 2, idleSeconds: 1 })
  const locked = Promise.withResolvers<void>()
  const never = Promise.withResolvers<void>()
  const hanging = vanished.run((db) =>
    db.transaction(async (transaction) => {
      await transaction.update(jobsTable).set({ sizeBytes: 4 }).where(eq(jobsTable.id, id))
      locked.resolve()
      await never.promise
      return transaction.$count(jobsTable)
    }),
  )
  try {
    await locked.promise
    assert.deepEqual(await jobs.claim(id, { token: 'a', leaseSeconds }), { outcome: 'claimed', attempt: 1 })
  } finally {
    never.resolve()
    await hanging
    await vanished.close()
  }
})

test('a transaction that another one undoes runs again', async () => {
  const ids = [await jobs.receive(uploadOf('uploads/x.jpg')), await jobs.receive(uploadOf('uploads/y.jpg'))]
  let tries = 0
  const bothIn = (order: string[], meet: () => Promise<void>) =>
    database.run((db) =>
      db.transaction(async (transaction) => {
        tries++
        for (const id of order) {
          await transaction.update(jobsTable).set({ sizeBytes: 4 }).where(eq(jobsTable.id, id))
          await meet()
        }
      }),
    )
  const meet = barrier(2)
  await Promise.all([bothIn(ids, meet), bothIn(ids.toReversed(), meet)])
  assert.equal(tries, 3)
})

test('a server that refuses connections is DATABASE_UNAVAILABLE, with its cause', async () => {
  const away = openDatabase({ url: through(1), tls: 'off' })
  try {
    await assert.rejects(
      createResults({ database: away, bucket }).find({ key: 'uploads/a' }),
      (error: RetryableFailure) => {
        assert.equal(error.code, 'DATABASE_UNAVAILABLE')
        assert.match(String(error.cause), /ECONNREFUSED/)
        return true
      },
    )
  } finally {
    await away.close()
  }
})

/** Resolves once so many wait; later callers pass. */
function barrier(count: number): () => Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  return () => {
    if (--count === 0) resolve()
    return promise
  }
}

function through(port: number): string {
  const url = new URL(server.url)
  url.port = String(port)
  return url.href
}

async function analysesOf(id: string): Promise<number> {
  return database.run((db) => db.$count(artAnalysis, eq(artAnalysis.jobId, id)))
}
