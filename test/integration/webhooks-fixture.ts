import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, beforeEach, type TestContext } from 'node:test'
import { asc, eq, sql } from 'drizzle-orm'
import { Webhook } from 'standardwebhooks'
import type { Result } from '#shared/contract/result.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { migrate } from '#shared/db/migrate.ts'
import { jobs as jobsTable, webhookDeliveries, webhookEvents } from '#shared/db/schema.ts'
import { createWebhookQueue, type WebhookQueue } from '#shared/db/webhooks.ts'
import { createLogger } from '#shared/logger.ts'
import { createWebhooks } from '../../services/api/webhooks/dispatcher.ts'
import { readEndpoints } from '../../services/api/webhooks/endpoint.ts'
import { createSender, type Send } from '../../services/api/webhooks/sender.ts'
import { startDatabase } from '../../services/local/database.ts'
import { analysisOf, uploadOf } from '../job.ts'

// Each file of tests that imports this has a database of its own.
const leaseSeconds = 60
export const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`
export const secret = newSecret()

export let server: Awaited<ReturnType<typeof startDatabase>>
export let database: Database
export let jobs: Jobs
export let queue: WebhookQueue
export let log = ''

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

export const logger = createLogger({ level: 'trace', service: 'test', destination: { write: (line) => (log += line) } })

type EndpointSettings = Partial<{ path: string; secrets: string[]; events: string[] }>

export function read(endpoints: object[]) {
  return readEndpoints({ WEBHOOKS: JSON.stringify(endpoints), WEBHOOKS_ALLOW_PRIVATE: '127.0.0.1' })
}

export function webhooksOf(settings: object[], send?: Send) {
  const { endpoints, mayReach } = read(settings)
  return createWebhooks({ queue, endpoints, send: send ?? createSender({ mayReach }), logger, pollMs: 20 })
}

export async function runOnce(settings: object[], webhooks = webhooksOf(settings)): Promise<void> {
  await webhooks.runOnce({ until: new AbortController().signal })
}

type Said = number | [number, Record<string, string>] | 'hang' | 'hang up'

/** Answers as it is told to, then 200. */
export async function startReceiver(t: TestContext, answers: Said[] = []) {
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

export async function succeed(name: string): Promise<string> {
  const { upload, lease } = await begin(name)
  await jobs.succeed({ ...lease, analysis: analysisOf(upload) })
  return lease.id
}

export async function fail(name: string): Promise<string> {
  const { lease } = await begin(name)
  await jobs.fail({ ...lease, code: 'IMAGE_EMPTY', message: 'empty', retryable: false })
  return lease.id
}

export async function cancel(name: string): Promise<string> {
  const id = await fail(name)
  await database.run(async (db) => {
    await db.update(jobsTable).set({ state: 'canceled', errorCode: 'CANCELED' }).where(eq(jobsTable.id, id))
    await db.update(webhookEvents).set({ state: 'canceled' }).where(eq(webhookEvents.jobId, id))
  })
  return id
}

/** Every wait and every lease is over; the database's clock is not ours to turn. */
export async function passTime(): Promise<void> {
  const past = sql`utc_timestamp(3) - interval 1 second`
  await database.run((db) => db.update(webhookDeliveries).set({ nextAttemptAt: past }))
}

export async function isDueSince(days: number): Promise<void> {
  const then = sql`utc_timestamp(3) - interval ${days} day`
  await database.run((db) => db.update(webhookDeliveries).set({ nextAttemptAt: then }))
}

/** As a process that has just started. */
export async function expireAnew(): Promise<void> {
  await createWebhookQueue({ database }).expire()
}

export async function delivery() {
  const { attempts, nextAttemptAt } = webhookDeliveries
  const inSeconds = sql`timestampdiff(microsecond, utc_timestamp(3), ${nextAttemptAt}) / 1e6`.mapWith(Number)
  const [row, ...more] = await database.run((db) =>
    db.select({ attempts, inSeconds }).from(webhookDeliveries).orderBy(asc(nextAttemptAt)),
  )
  assert.ok(row && more.length === 0, 'one delivery waits')
  return row
}

export async function waiting(): Promise<number> {
  return database.run(async (db) => (await db.$count(webhookEvents)) + (await db.$count(webhookDeliveries)))
}
