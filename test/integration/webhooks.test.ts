import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, type TestContext, test } from 'node:test'
import { asc, eq, sql } from 'drizzle-orm'
import { Webhook } from 'standardwebhooks'
import Value from 'typebox/value'
import { Result } from '#shared/contract/result.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { createResults } from '#shared/db/results.ts'
import { jobs as jobsTable, webhookDeliveries, webhookEvents } from '#shared/db/schema.ts'
import { createWebhookQueue, type WebhookQueue } from '#shared/db/webhooks.ts'
import { createLogger } from '#shared/logger.ts'
import { resultOf } from '../../services/api/result.ts'
import { createWebhooks } from '../../services/api/webhooks/dispatcher.ts'
import { readEndpoints } from '../../services/api/webhooks/endpoint.ts'
import { createSender, type Send } from '../../services/api/webhooks/sender.ts'
import { startDatabase } from '../../services/local/database.ts'
import { startApi } from '../../services/local/processes.ts'
import { analysisOf, bucket, uploadOf } from '../job.ts'
import { watchDatabase } from '../watched-database.ts'

const leaseSeconds = 60
const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`
const secret = newSecret()

let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database
let jobs: Jobs
let queue: WebhookQueue
let log = ''

before(async () => {
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
  jobs = createJobs({ database })
})

beforeEach(async () => {
  log = ''
  queue = createWebhookQueue({ database })
  await database.run((db) => db.delete(webhookEvents))
  await database.run((db) => db.delete(webhookDeliveries))
})

after(async () => {
  await database?.close()
  await server?.close()
})

test('a job that succeeds, fails or is canceled is told once, signed, as the API answers it', async (t) => {
  const receiver = await startReceiver(t)
  const ids = [await succeed('told-a'), await fail('told-b'), await cancel('told-c')]
  await runOnce([receiver.endpoint()])
  const messages = receiver.verified()
  assert.deepEqual(messages.map(({ type }) => type).sort(), ['result.canceled', 'result.failed', 'result.succeeded'])
  for (const { type, timestamp, data } of messages) {
    assert.deepEqual(Value.Errors(Result, data), [])
    const found = await createResults({ database, bucket }).find({ key: data.key })
    assert.ok(ids.includes(found!.job.id))
    assert.deepEqual(data, JSON.parse(JSON.stringify(resultOf(found!))))
    assert.equal(type, `result.${data.status}`)
    assert.ok(Math.abs(Date.parse(timestamp) - Date.parse(data.finished_at!)) < 1_000)
  }
  for (const { headers } of receiver.calls) {
    assert.match(String(headers['webhook-id']), /^msg_[0-9a-f]{32}$/)
    assert.equal(headers['content-type'], 'application/json')
  }
  assert.equal(new Set(receiver.ids()).size, 3)
  await runOnce([receiver.endpoint()])
  assert.equal(receiver.calls.length, 3)
  assert.equal(await waiting(), 0)
})

test('an endpoint hears only the events that it wants, and all hear the same message', async (t) => {
  const [all, also, some] = [await startReceiver(t), await startReceiver(t), await startReceiver(t)]
  await succeed('wanted-a')
  await fail('wanted-b')
  await runOnce([all.endpoint(), also.endpoint(), some.endpoint({ events: ['result.failed'] })])
  assert.deepEqual(
    [all, also, some].map(({ calls }) => calls.length),
    [2, 2, 1],
  )
  assert.deepEqual(all.ids().sort(), also.ids().sort())
  assert.ok(all.ids().includes(some.ids()[0]!))
})

test('what fails comes again later, the same, until it is taken', async (t) => {
  const receiver = await startReceiver(t, [500, 'hang up', 302, 404, 200])
  await succeed('retried')
  const waits = []
  for (let tries = 1; tries <= 4; tries++) {
    await runOnce([receiver.endpoint()])
    assert.equal(receiver.calls.length, tries)
    const { attempts, inSeconds } = await delivery()
    assert.equal(attempts, tries)
    waits.push(inSeconds)
    await runOnce([receiver.endpoint()])
    assert.equal(receiver.calls.length, tries, 'it is not due yet')
    await passTime()
  }
  for (const [index, expected] of [5, 300, 1800, 7200].entries()) {
    assert.ok(waits[index]! > expected - 5 && waits[index]! < 1.1 * expected + 1, `${waits[index]} s for ${expected} s`)
  }
  await runOnce([receiver.endpoint()])
  assert.equal(await waiting(), 0)
  assert.equal(new Set(receiver.ids()).size, 1)
  assert.equal(new Set(receiver.calls.map(({ body }) => body)).size, 1)
  receiver.verified()
})

test('what is never taken is given up after the tenth try, and 410 at once', async (t) => {
  const dead = await startReceiver(t, Array(20).fill(500))
  const gone = await startReceiver(t, [410])
  await succeed('given-up')
  const endpoints = [dead.endpoint(), gone.endpoint()]
  for (let tries = 1; tries <= 12; tries++) {
    await runOnce(endpoints)
    await passTime()
  }
  assert.deepEqual([dead.calls.length, gone.calls.length], [10, 1])
  assert.equal(await waiting(), 0)
  assert.equal(log.match(/webhook given up/g)?.length, 2)
})

test('Retry-After puts the next try off', async (t) => {
  const receiver = await startReceiver(t, [[429, { 'retry-after': '1000' }]])
  await succeed('put-off')
  await runOnce([receiver.endpoint()])
  assert.ok((await delivery()).inSeconds > 990)
})

test('of a hundred messages two dispatchers deliver each once', async (t) => {
  const receiver = await startReceiver(t)
  await Promise.all(Array.from({ length: 100 }, (_, index) => fail(`shared-${index}`)))
  const both = [1, 2].map(() => webhooksOf([receiver.endpoint()]))
  for (const each of both) each.start()
  t.after(() => Promise.all(both.map((each) => each.close())))
  await until(async () => receiver.calls.length >= 100 && (await waiting()) === 0)
  await Promise.all(both.map((each) => each.close()))
  assert.equal(receiver.calls.length, 100)
  assert.equal(new Set(receiver.ids()).size, 100)
})

test('what a dispatcher had in hand that is no more is delivered by another, as the same message', async (t) => {
  const receiver = await startReceiver(t)
  await succeed('in-hand')
  const held = Promise.withResolvers<string>()
  const vanished = webhooksOf([receiver.endpoint()], async ({ headers, signal }) => {
    held.resolve(headers['webhook-id']!)
    await once(signal, 'abort')
    throw signal.reason
  })
  vanished.start()
  const id = await held.promise
  await runOnce([receiver.endpoint()])
  assert.equal(receiver.calls.length, 0, 'its lease is not over')
  await passTime()
  await runOnce([receiver.endpoint()])
  assert.deepEqual(receiver.ids(), [id])
  // Whatever it says when it comes back changes nothing.
  await vanished.close()
  assert.equal(await waiting(), 0)
})

test('a process that is killed in the midst leaves its message to the next, and a claim that is over changes nothing', async (t) => {
  const receiver = await startReceiver(t, ['hang', 200])
  const api = await startApi({
    env: {
      PATH: process.env.PATH,
      DATABASE_URL: server.url,
      DATABASE_TLS: 'off',
      AWS_REGION: 'us-east-1',
      BUCKET: bucket,
      QUEUE_URL: 'http://127.0.0.1:9/queue',
      AUTH: 'none',
      HOST: '127.0.0.1',
      PORT: '0',
      WEBHOOKS: JSON.stringify([receiver.endpoint()]),
      WEBHOOKS_ALLOW_PRIVATE: '127.0.0.1',
    },
  })
  t.after(api.close)
  await succeed('killed')
  await once(receiver.server, 'request')
  await api.close()
  assert.equal(await waiting(), 1)
  await passTime()
  const { id } = read([receiver.endpoint()]).endpoints[0]!
  const [first] = await queue.claim(id, 8)
  await passTime()
  const [second] = await queue.claim(id, 8)
  await queue.giveBack(first!)
  await queue.retryLater(first!, { seconds: -5, error: 'late' })
  assert.deepEqual(await queue.claim(id, 8), [])
  await queue.giveBack(second!)
  await runOnce([receiver.endpoint()])
  assert.equal(receiver.calls.length, 2)
  assert.equal(new Set(receiver.ids()).size, 1)
})

test('events become deliveries all or none', async (t) => {
  const receiver = await startReceiver(t)
  await succeed('whole-a')
  await fail('whole-b')
  const { id } = read([receiver.endpoint()]).endpoints[0]!
  let announced = 0
  const half = queue.fanOut(() => {
    if (announced++) throw new Error('cut off')
    return { payload: '{}', endpoints: [id] }
  })
  await assert.rejects(half, /cut off/)
  assert.deepEqual(await queue.claim(id, 8), [])
  await runOnce([receiver.endpoint()])
  assert.equal(receiver.verified().length, 2)
})

test('a dispatcher that closes gives back at once what it could not finish', async (t) => {
  const receiver = await startReceiver(t, ['hang', 200])
  await succeed('given-back')
  const closing = webhooksOf([receiver.endpoint()])
  closing.start()
  await until(() => receiver.calls.length === 1)
  await closing.close()
  assert.equal((await delivery()).attempts, 0)
  await runOnce([receiver.endpoint()])
  assert.equal(receiver.calls.length, 2)
  assert.equal(new Set(receiver.ids()).size, 1)
  assert.equal(await waiting(), 0)
})

test('a function that runs on a schedule ends when its time is up', async (t) => {
  const receiver = await startReceiver(t, ['hang'])
  await succeed('scheduled')
  const until = new AbortController()
  const ended = webhooksOf([receiver.endpoint()]).runOnce({ until: until.signal })
  await once(receiver.server, 'request')
  until.abort()
  await ended
  const { attempts, inSeconds } = await delivery()
  assert.equal(attempts, 0)
  assert.ok(inSeconds <= 0)
})

test('an endpoint that hangs holds up no other, nor more than eight of its own at once', async (t) => {
  const [hanging, healthy] = [await startReceiver(t, Array(20).fill('hang')), await startReceiver(t)]
  for (let index = 0; index < 20; index++) await fail(`held-up-${index}`)
  const webhooks = webhooksOf([hanging.endpoint(), healthy.endpoint()])
  webhooks.start()
  await until(() => healthy.calls.length === 20 && hanging.calls.length === 8)
  await succeed('held-up-later')
  webhooks.wake()
  await until(() => healthy.calls.length === 21)
  assert.equal(hanging.calls.length, 8)
  await webhooks.close()
})

test('while secrets change, receivers with either are satisfied', async (t) => {
  const receiver = await startReceiver(t)
  const next = newSecret()
  await succeed('rotated')
  await runOnce([receiver.endpoint({ secrets: [secret, next] })])
  receiver.verified()
  receiver.verified(next)
  assert.throws(() => receiver.verified(newSecret()), /No matching signature/)
})

test('an endpoint on a private network is not called unless it is allowed in so many words', async (t) => {
  const receiver = await startReceiver(t)
  await succeed('private')
  const { endpoints } = readEndpoints({
    WEBHOOKS: JSON.stringify([{ ...receiver.endpoint(), url: `http://localhost:${receiver.port}/` }]),
  })
  const { mayReach } = readEndpoints({})
  await runOnce([], createWebhooks({ queue, endpoints, send: createSender({ mayReach }), logger }))
  assert.equal(receiver.calls.length, 0)
  assert.match(log, /localhost is no public address: WEBHOOKS_ALLOW_PRIVATE does not name it/)
  assert.equal((await delivery()).attempts, 1)
})

test('a job that has begun anew is told when it ends again, and old ends are no news', async (t) => {
  const receiver = await startReceiver(t)
  await fail('anew')
  await jobs.receive(uploadOf('uploads/anew.jpg', { sequencer: '0B' }))
  await fail('old')
  await database.run((db) =>
    db
      .update(webhookEvents)
      .set({ createdAt: sql`utc_timestamp(3) - interval 73 hour` })
      .where(eq(webhookEvents.jobId, sql`(select id from ${jobsTable} where image_key = 'uploads/old.jpg')`)),
  )
  await runOnce([receiver.endpoint()])
  assert.equal(receiver.calls.length, 0)
  assert.equal(await waiting(), 0)
  await succeed('anew')
  await runOnce([receiver.endpoint()])
  assert.deepEqual(
    receiver.verified().map(({ type }) => type),
    ['result.succeeded'],
  )
})

test('events are removed when nobody is to hear of them, and deliveries to endpoints that are no more after a week', async (t) => {
  const receiver = await startReceiver(t, [500])
  await succeed('unheard')
  await runOnce([])
  assert.equal(await waiting(), 0)
  await fail('forgotten')
  await runOnce([receiver.endpoint()])
  await isDueSince(6)
  await expireAnew()
  assert.equal(await waiting(), 1)
  await isDueSince(8)
  await expireAnew()
  assert.equal(await waiting(), 0)
})

test('a delivery is kept for its next try, however old it is: by Retry-After ten tries take nine days', async (t) => {
  const receiver = await startReceiver(t, Array(9).fill([503, { 'retry-after': '86400' }]))
  await succeed('patient')
  let days = 0
  for (let tries = 1; tries <= 9; tries++) {
    await runOnce([receiver.endpoint()])
    days += (await delivery()).inSeconds / 86_400
    const createdAt = sql`utc_timestamp(3) - interval ${Math.floor(days * 86_400)} second`
    await database.run((db) => db.update(webhookDeliveries).set({ createdAt }))
    await expireAnew()
    await passTime()
  }
  assert.ok(days > 9)
  await runOnce([receiver.endpoint()])
  assert.equal(receiver.calls.length, 10)
  assert.doesNotMatch(log, /given up/)
})

test('whoever begins anew for each run looks for forgotten deliveries once an hour all the same', async (t) => {
  const receiver = await startReceiver(t, [500])
  await fail('forgotten for long')
  await runOnce([receiver.endpoint()])
  await isDueSince(8)
  await runOnce([])
  assert.equal(await waiting(), 1)
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 3_600_000 })
  await runOnce([])
  assert.equal(await waiting(), 0)
})

test('of 3,000 deliveries neither a claim nor the search for forgotten ones reads those of another endpoint', async (t) => {
  const watched = await watchDatabase(server.url)
  t.after(watched.close)
  await watched.connection.query(
    `insert into webhook_deliveries (event_id, endpoint, payload, attempts, next_attempt_at, created_at)
     select seq, repeat(if(seq % 100, 'a', 'b'), 64), '{}', 0, utc_timestamp(3) - interval seq second,
       utc_timestamp(3) - interval 9 day from seq_1_to_3000`,
  )
  await watched.connection.query('analyze table webhook_deliveries')
  const watchedQueue = createWebhookQueue({ database: watched.database })
  await watched.forget()
  assert.equal(await watchedQueue.expire(), 0)
  assert.ok((await watched.rowsRead()) < 10, `read ${await watched.rowsRead()} rows`)
  await watched.assertPlans()
  await watched.forget()
  assert.equal((await watchedQueue.claim('b'.repeat(64), 8)).length, 8)
  assert.ok((await watched.rowsRead()) < 100, `read ${await watched.rowsRead()} rows`)
})

test('no secret is in the log, whatever goes wrong', async (t) => {
  const receiver = await startReceiver(t, [500, 'hang up', 410])
  await succeed('logged')
  const endpoint = receiver.endpoint({ path: '/hooks/hunter2?token=hunter2' })
  for (let tries = 1; tries <= 3; tries++) {
    await runOnce([endpoint])
    await passTime()
  }
  assert.equal(log.match(/webhook (failed|given up)/g)?.length, 3)
  for (const each of ['hunter2', 'whsec_', secret.slice(6, 20), 'v1,']) assert.ok(!log.includes(each), each)
})

test('a database that is away is waited for', async (t) => {
  const receiver = await startReceiver(t)
  const away = openDatabase({ url: server.url.replace(/:\d+\//, ':1/'), tls: 'off' })
  t.after(() => away.close())
  const { endpoints } = read([receiver.endpoint()])
  const broken = createWebhookQueue({ database: away })
  const webhooks = createWebhooks({ queue: broken, endpoints, send: async () => assert.fail(), logger, pollMs: 1 })
  webhooks.start()
  await until(() => (log.match(/webhooks wait/g)?.length ?? 0) > 2)
  await webhooks.close()
})

const logger = createLogger({ level: 'trace', service: 'test', destination: { write: (line) => (log += line) } })

type EndpointSettings = Partial<{ path: string; secrets: string[]; events: string[] }>

function read(endpoints: object[]) {
  return readEndpoints({ WEBHOOKS: JSON.stringify(endpoints), WEBHOOKS_ALLOW_PRIVATE: '127.0.0.1' })
}

function webhooksOf(settings: object[], send?: Send) {
  const { endpoints, mayReach } = read(settings)
  return createWebhooks({ queue, endpoints, send: send ?? createSender({ mayReach }), logger, pollMs: 20 })
}

async function runOnce(settings: object[], webhooks = webhooksOf(settings)): Promise<void> {
  await webhooks.runOnce({ until: new AbortController().signal })
}

type Said = number | [number, Record<string, string>] | 'hang' | 'hang up'

/** Answers as it is told to, then 200. */
async function startReceiver(t: TestContext, answers: Said[] = []) {
  const calls: { headers: IncomingHttpHeaders; body: string }[] = []
  const receiver = createServer(async (request, response) => {
    const said = answers[calls.length] ?? 200
    const call = { headers: request.headers, body: '' }
    calls.push(call)
    call.body = Buffer.concat(await request.toArray()).toString()
    if (said === 'hang') return
    if (said === 'hang up') return void response.destroy()
    const [status, headers] = typeof said === 'number' ? [said, {}] : said
    response.writeHead(status, { location: '/', ...headers }).end('so be it')
  }).listen(0, '127.0.0.1')
  t.after(() => {
    receiver.closeAllConnections()
    receiver.close()
  })
  await once(receiver, 'listening')
  const { port } = receiver.address() as AddressInfo
  return {
    server: receiver,
    port,
    calls,
    ids: () => calls.map(({ headers }) => String(headers['webhook-id'])),
    endpoint: ({ path = '/', secrets = [secret], ...more }: EndpointSettings = {}) => ({
      url: `http://127.0.0.1:${port}${path}`,
      secrets,
      allow_http: true,
      ...more,
    }),
    /** Throws where a signature is not good. */
    verified: (own = secret) =>
      calls.map(({ headers, body }) => {
        const verified = new Webhook(own).verify(body, headers as Record<string, string>)
        return verified as { type: string; timestamp: string; data: Result }
      }),
  }
}

async function begin(name: string) {
  const upload = uploadOf(`uploads/${name}.jpg`)
  const id = await jobs.receive(upload)
  const lease = { id, token: 'a' }
  await jobs.claim(id, { token: 'a', leaseSeconds })
  return { upload, lease }
}

async function succeed(name: string): Promise<string> {
  const { upload, lease } = await begin(name)
  await jobs.succeed({ ...lease, analysis: analysisOf(upload) })
  return lease.id
}

async function fail(name: string): Promise<string> {
  const { lease } = await begin(name)
  await jobs.fail({ ...lease, code: 'IMAGE_EMPTY', message: 'empty', retryable: false })
  return lease.id
}

async function cancel(name: string): Promise<string> {
  const id = await fail(name)
  await database.run(async (db) => {
    await db.update(jobsTable).set({ state: 'canceled', errorCode: 'CANCELED' }).where(eq(jobsTable.id, id))
    await db.update(webhookEvents).set({ state: 'canceled' }).where(eq(webhookEvents.jobId, id))
  })
  return id
}

/** Every wait and every lease is over; the database's clock is not ours to turn. */
async function passTime(): Promise<void> {
  const past = sql`utc_timestamp(3) - interval 1 second`
  await database.run((db) => db.update(webhookDeliveries).set({ nextAttemptAt: past }))
}

async function isDueSince(days: number): Promise<void> {
  const then = sql`utc_timestamp(3) - interval ${days} day`
  await database.run((db) => db.update(webhookDeliveries).set({ nextAttemptAt: then }))
}

/** As a process that has just started. */
async function expireAnew(): Promise<void> {
  await createWebhookQueue({ database }).expire()
}

async function delivery() {
  const { attempts, nextAttemptAt } = webhookDeliveries
  const inSeconds = sql`timestampdiff(microsecond, utc_timestamp(3), ${nextAttemptAt}) / 1e6`.mapWith(Number)
  const [row, ...more] = await database.run((db) =>
    db.select({ attempts, inSeconds }).from(webhookDeliveries).orderBy(asc(nextAttemptAt)),
  )
  assert.ok(row && more.length === 0, 'one delivery waits')
  return row
}

async function waiting(): Promise<number> {
  return database.run(async (db) => (await db.$count(webhookEvents)) + (await db.$count(webhookDeliveries)))
}

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10))
}
