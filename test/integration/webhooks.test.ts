import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eq, sql } from 'drizzle-orm'
import Value from 'typebox/value'
import { Result } from '#shared/contract/result.ts'
import { createResults } from '#shared/db/results.ts'
import { jobs as jobsTable, webhookEvents } from '#shared/db/schema.ts'
import { resultOf } from '../../services/api/result.ts'
import { createWebhooks } from '../../services/api/webhooks/dispatcher.ts'
import { readEndpoints } from '../../services/api/webhooks/endpoint.ts'
import { createSender } from '../../services/api/webhooks/sender.ts'
import { bucket, uploadOf } from '../job.ts'
import { until } from '../until.ts'
import {
  cancel,
  database,
  delivery,
  fail,
  jobs,
  log,
  logger,
  newSecret,
  passTime,
  queue,
  runOnce,
  secret,
  startReceiver,
  succeed,
  waiting,
  webhooksOf,
} from './webhooks-fixture.ts'

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
