import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import { eq } from 'drizzle-orm'
import Value from 'typebox/value'
import { Problem, Result } from '#shared/contract/result.ts'
import { webhookEvents } from '#shared/db/schema.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { analysisOf, uploadOf } from '../job.ts'
import { until } from '../until.ts'
import { startWholeStack, type WholeStack } from '../whole-stack.ts'

const path = '/v1/cancellations'
const leaseSeconds = 60
/** Never ends by itself and says nothing, as a long chunk and a clip that waits for its batch. */
const composeForever: Inference['compose'] = (_clip, { signal }) =>
  new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

let whole: WholeStack

before(async () => {
  whole = await startWholeStack()
})

after(async () => {
  await whole?.close()
})

test('a queued job ends as canceled, again and again the same, and its event finds it settled', async () => {
  const key = 'uploads/cancel/queued.jpg'
  const id = await received(key)
  const canceled = await whole.post(path, { key }, { 'idempotency-key': 'c 1' })
  assert.equal(canceled.status, 200)
  assert.deepEqual(Value.Errors(Result, canceled.body), [])
  const { status, error, finished_at: finishedAt } = canceled.body
  assert.equal(status, 'canceled')
  assert.deepEqual(error, { code: 'CANCELED', message: 'The job was canceled on request', retryable: false })
  assert.ok(Date.parse(finishedAt))
  const { body: again, status: code } = await whole.post(path, { key }, { 'idempotency-key': 'c 2' })
  assert.deepEqual([code, again], [200, canceled.body])
  assert.deepEqual(await endsOf(id), ['canceled'])
  await whole.jobs.receive(uploadOf(key, { bucket: whole.bucket }))
  assert.deepEqual(await whole.jobs.claim(id, { token: 'late', leaseSeconds }), {
    outcome: 'settled',
    state: 'canceled',
  })
})

test('a running job is stopped within seconds, its message is acknowledged, and nothing is written', async () => {
  const key = 'uploads/cancel/running.jpg'
  const settings = { LEASE_SECONDS: '3600' }
  let canceledAt = 0
  let stoppedAt = 0
  const compose: Inference['compose'] = (clip, options) =>
    composeForever(clip, options).finally(() => {
      stoppedAt = performance.now()
    })
  await whole.upload(key)
  await whole.withConsumer({ inference: { compose }, settings }, async () => {
    await until(async () => (await whole.get(key)).body.stage === 'composing')
    canceledAt = performance.now()
    assert.equal((await whole.post(path, { key })).body.status, 'canceled')
    await whole.drained()
  })
  const seconds = (stoppedAt - canceledAt) / 1000
  assert.ok(seconds < 5, `it took ${seconds} s`)
  const { job, analysis } = (await whole.results.find({ key }))!
  assert.deepEqual([job.state, job.errorCode, analysis], ['canceled', 'CANCELED', null])
  assert.deepEqual(await music('generated/cancel/running.jpg/'), [])
  assert.deepEqual(await endsOf(job.id), ['canceled'])
  assert.deepEqual(await whole.deadLetters(), [])
})

test('a later take is canceled alone', async () => {
  const key = 'uploads/cancel/take.jpg'
  await whole.analysed(key)
  await whole.post('/v1/generations', { key })
  assert.equal((await whole.post(path, { key, take: 1 })).body.take, 1)
  await whole.withConsumer({}, whole.drained)
  assert.equal((await whole.get(key)).body.status, 'succeeded')
  assert.equal((await whole.results.find({ key, take: 1 }))?.job.state, 'canceled')
  assert.equal((await whole.post('/v1/generations', { key })).body.take, 2, 'its number is not given again')
  await whole.withConsumer({}, whole.drained)
})

test('an upload whose event has not come is canceled, and stays so when it does', async () => {
  const key = 'uploads/cancel/한 글+.jpg'
  await whole.upload(key)
  const { body, status } = await whole.post(path, { key })
  assert.deepEqual([status, body.status, body.attempt], [200, 'canceled', 0])
  const before = whole.music.length
  await whole.withConsumer({}, whole.drained)
  assert.equal((await whole.get(key)).body.status, 'canceled')
  assert.equal(whole.music.length, before)
  assert.deepEqual(await endsOf((await whole.results.find({ key }))!.job.id), ['canceled'])
})

test('a version that is canceled before its event has come is the newest of its key', async () => {
  const key = 'uploads/cancel/versions.jpg'
  await whole.analysed(key)
  await whole.upload(key, Buffer.from('another'))
  const { ETag } = await whole.stack.s3.send(new HeadObjectCommand({ Bucket: whole.bucket, Key: key }))
  const second = ETag!.replaceAll('"', '')
  assert.equal((await whole.post(path, { key, version: second })).body.version, second)
  assert.equal((await whole.get(key)).body.status, 'canceled')
  await whole.withConsumer({}, whole.drained)
  assert.equal((await whole.get(key)).body.version, second)
})

test('without a version it is what was uploaded last that is canceled, whatever has become of what came before', async () => {
  for (const isDone of [true, false]) {
    const key = `uploads/cancel/newer than ${isDone ? 'done' : 'in work'}.jpg`
    if (isDone) await whole.analysed(key)
    else await whole.jobs.claim(await received(key), { token: 'a', leaseSeconds })
    const before = (await whole.results.find({ key }))!.job
    await whole.upload(key, Buffer.from('another'))
    for (const take of [undefined, 0]) {
      const { status, body } = await whole.post(path, { key, take })
      assert.deepEqual([status, body.status], [200, 'canceled'])
      assert.notEqual(body.version, before.version)
    }
    assert.equal((await whole.results.find({ key, version: before.version }))?.job.state, before.state)
    assert.equal((await whole.post(path, { key, version: before.version })).status, isDone ? 409 : 200)
    await whole.withConsumer({}, whole.drained)
    assert.equal((await whole.get(key)).body.status, 'canceled')
  }
})

test('the same bytes put back after a cancellation are made music of; announced late, they are not', async () => {
  const key = 'uploads/cancel/put back.jpg'
  await whole.upload(key)
  await whole.upload(key)
  await whole.post(path, { key })
  await whole.withConsumer({}, whole.drained)
  assert.equal((await whole.get(key)).body.status, 'canceled', 'both were put before')
  await sleep(1_000)
  await whole.upload(key)
  await whole.withConsumer({}, whole.drained)
  const { status, error, attempt } = (await whole.get(key)).body
  assert.deepEqual([status, error, attempt], ['succeeded', undefined, 1])
})

test('a job that has ended cannot be canceled, and what there is not is not found', async () => {
  for (const state of ['succeeded', 'failed'] as const) {
    const key = `uploads/cancel/${state}.jpg`
    const id = await received(key)
    await whole.jobs.claim(id, { token: 'a', leaseSeconds })
    await end(id, key, state)
    const { status, body } = await whole.post(path, { key })
    assert.deepEqual(Value.Errors(Problem, body), [])
    assert.deepEqual([status, body.code], [409, 'CONFLICT'])
    assert.match(body.detail, new RegExp(`this one is ${state}$`))
    assert.deepEqual(await endsOf(id), [state])
    assert.equal((await whole.post(path, { key, take: 1 })).body.code, 'RESULT_NOT_FOUND')
  }
  const missing = await whole.post(path, { key: 'uploads/cancel/none.jpg' })
  assert.deepEqual([missing.status, missing.body.code], [404, 'RESULT_NOT_FOUND'])
  assert.equal((await whole.post(path, { key: 'generated/a' })).body.code, 'INVALID_REQUEST')
  assert.equal((await whole.post(path, { key: 'uploads/a', take: -1 })).body.code, 'INVALID_REQUEST')
})

for (const state of ['succeeded', 'failed'] as const) {
  test(`of a cancellation and an end as ${state} at the same moment exactly one happens, and is told of`, async () => {
    for (let round = 0; round < 30; round++) {
      const key = `uploads/cancel/race ${state} ${round}.jpg`
      const id = await received(key)
      await whole.jobs.claim(id, { token: 'a', leaseSeconds })
      const [done, one, other] = await Promise.all([
        end(id, key, state),
        whole.post(path, { key }),
        whole.post(path, { key }),
      ])
      const { job, analysis } = (await whole.results.find({ key }))!
      assert.equal(job.state, done ? state : 'canceled')
      assert.equal(analysis !== null, job.state === 'succeeded')
      assert.deepEqual(new Set([one.status, other.status]), new Set([done ? 409 : 200]))
      assert.deepEqual(await endsOf(id), [job.state])
    }
  })
}

async function received(key: string): Promise<string> {
  return whole.jobs.receive(uploadOf(key, { bucket: whole.bucket }))
}

async function end(id: string, key: string, state: 'succeeded' | 'failed'): Promise<boolean> {
  const lease = { id, token: 'a' }
  if (state === 'succeeded') return whole.jobs.succeed({ ...lease, analysis: analysisOf(uploadOf(key)) })
  return whole.jobs.fail({ ...lease, code: 'IMAGE_EMPTY', message: 'empty', retryable: false })
}

/** As a webhook will tell of them. */
async function endsOf(id: string): Promise<string[]> {
  const rows = await whole.database.run((db) => db.select().from(webhookEvents).where(eq(webhookEvents.jobId, id)))
  return rows.map(({ state }) => state)
}

async function music(prefix: string) {
  const list = new ListObjectsV2Command({ Bucket: whole.bucket, Prefix: prefix })
  return (await whole.stack.s3.send(list)).Contents ?? []
}
