import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { sql } from 'drizzle-orm'
import { openDatabase } from '#shared/db/client.ts'
import { webhookDeliveries, webhookEvents } from '#shared/db/schema.ts'
import { createWebhookQueue } from '#shared/db/webhooks.ts'
import { createWebhooks } from '../../services/api/webhooks/dispatcher.ts'
import { startApi } from '../../services/local/processes.ts'
import { bucket } from '../job.ts'
import { until } from '../until.ts'
import { watchDatabase } from '../watched-database.ts'
import {
  database,
  delivery,
  expireAnew,
  fail,
  isDueSince,
  log,
  logger,
  passTime,
  queue,
  read,
  runOnce,
  server,
  startReceiver,
  succeed,
  waiting,
  webhooksOf,
} from './webhooks-fixture.ts'

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

test('of three that turn the same events into deliveries one does', async () => {
  for (let round = 0; round < 20; round++) {
    await fail(`turned-${round}`)
    await Promise.all([1, 2, 3].map(() => queue.fanOut(() => ({ payload: '{}', endpoints: ['a'] }))))
    assert.equal((await queue.claim('a', 8)).length, 1)
  }
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

test('events are left for three days to others with endpoints by a dispatcher without any', async (t) => {
  const receiver = await startReceiver(t)
  const createdAt = sql`utc_timestamp(3) - interval 73 hour`
  await succeed('unheard')
  await database.run((db) => db.update(webhookEvents).set({ createdAt }))
  const heard = await fail('heard')
  await runOnce([])
  const left = await database.run((db) => db.select({ jobId: webhookEvents.jobId }).from(webhookEvents))
  assert.deepEqual(left, [{ jobId: heard }])
  await runOnce([receiver.endpoint()])
  assert.deepEqual([receiver.calls.length, await waiting()], [1, 0])
})

test('deliveries to endpoints that are no more are removed after a week', async (t) => {
  const receiver = await startReceiver(t, [500])
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
