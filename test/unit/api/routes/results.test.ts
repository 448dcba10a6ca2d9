import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Value from 'typebox/value'
import { Result } from '#shared/contract/result.ts'
import type { FoundJob } from '#shared/db/results.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { createApp } from '../../../../services/api/app.ts'
import { apiOptions } from '../../../api-options.ts'
import { fakeResults, foundJob, succeededJob } from '../../../found-job.ts'
import { bucket } from '../../../job.ts'
import { testPresigner } from '../../../presigner.ts'
import { until } from '../../../until.ts'

const key = 'uploads/a.jpg'
const address = `/v1/results/${key}`
const head = { etag: 'e1', size: 3, lastModified: new Date(0) }

async function start(t: TestContext, found?: FoundJob) {
  const results = fakeResults()
  if (found) results.set(found)
  const bucketHas = { head: undefined as typeof head | undefined, asked: 0 }
  const objects = {
    head: async () => {
      bucketHas.asked++
      return bucketHas.head
    },
    ping: async () => {},
  }
  const app = await createApp(apiOptions({ results, objects }))
  t.after(() => app.close())

  /** Has been looked at since, and nobody was answered. */
  async function looked(times = 1): Promise<void> {
    const asked = results.standingsAsked + times
    await until(() => results.standingsAsked >= asked)
  }
  return { app, results, bucketHas, looked }
}

const processing = (job: Partial<FoundJob['job']> = {}) =>
  foundJob(key, { state: 'processing', stage: 'storing', ...job })

for (const [name, url, headers, applied] of [
  ['?wait=', `${address}?wait=20`, {}, undefined],
  ['Prefer: wait', address, { prefer: 'wait=20' }, 'wait=20'],
  ['Prefer among others', address, { prefer: 'respond-async, Wait = "20" ; x=1, wait=1' }, 'wait=20'],
  ['Prefer beyond what is possible', address, { prefer: 'wait=3600' }, 'wait=60'],
  ['?wait= and Prefer', `${address}?wait=20`, { prefer: 'wait=1' }, undefined],
] as const) {
  test(`${name} holds the answer until the job has ended`, async (t) => {
    const { app, results, looked } = await start(t, processing({ updatedAt: new Date() }))
    const waiting = app.inject({ url, headers })
    await looked(2)
    results.set(succeededJob(key))
    const response = await waiting
    assert.equal(response.statusCode, 200)
    assert.equal(response.headers['preference-applied'], applied)
    assert.equal(response.headers['retry-after'], undefined)
    assert.deepEqual(Value.Errors(Result, response.json()), [])
    assert.equal(response.json().genre, 'landscape')
    const again = await app.inject({ url, headers: { ...headers, 'if-none-match': String(response.headers.etag) } })
    assert.equal(again.statusCode, 304)
  })
}

test('when the time is up the result is answered as it stands', async (t) => {
  const { app } = await start(t, processing({ etaSeconds: 7 }))
  const response = await app.inject(`${address}?wait=1`)
  assert.equal(response.statusCode, 200)
  assert.equal(response.json().status, 'processing')
  assert.equal(response.headers['retry-after'], '7')
})

for (const headers of [{}, { prefer: 'wait=soon' }, { prefer: 'wait' }, { prefer: 'wait=0' }, { prefer: 'await=20' }]) {
  test(`nothing is waited for with ${JSON.stringify(headers)}`, async (t) => {
    const { app, results } = await start(t, processing())
    const response = await app.inject({ url: `${address}${'prefer' in headers ? '' : '?wait=0'}`, headers })
    assert.equal(response.json().status, 'processing')
    assert.equal(results.standingsAsked, 1)
    assert.equal(response.headers['preference-applied'], headers.prefer === 'wait=0' ? 'wait=0' : undefined)
  })
}

for (const query of ['wait=61', 'wait=-1', 'wait=1.5', 'wait=soon', 'wait=', 'wait=1&wait=2', 'take=-1', 'take=x']) {
  test(`?${query} is not valid`, async (t) => {
    const { app } = await start(t, processing())
    const response = await app.inject(`${address}?${query}`)
    assert.deepEqual([response.statusCode, response.json().code], [400, 'INVALID_REQUEST'])
  })
}

test('with If-None-Match it holds until the result differs', async (t) => {
  const { app, results, looked } = await start(t, processing({ updatedAt: new Date() }))
  const { etag } = (await app.inject(address)).headers
  const headers = { 'if-none-match': String(etag) }
  const waiting = app.inject({ url: `${address}?wait=20`, headers })
  await looked(2)
  results.set(processing({ progress: 0.75, updatedAt: new Date(Date.now() + 1) }))
  const response = await waiting
  assert.equal(response.statusCode, 200)
  assert.equal(response.json().progress, 0.75)
  const same = { 'if-none-match': String(response.headers.etag) }
  assert.equal((await app.inject({ url: `${address}?wait=1`, headers: same })).statusCode, 304)
})

test('who knows more than was seen at the last look is not told of before', async (t) => {
  const { app, results, looked } = await start(t, processing({ progress: 0.5, updatedAt: new Date(1) }))
  results.set(processing({ progress: 0.75, updatedAt: new Date(2) }))
  const etag = String((await app.inject(address)).headers.etag)
  results.set(processing({ progress: 0.5, updatedAt: new Date(1) }))
  const waiting = app.inject({ url: `${address}?wait=20`, headers: { 'if-none-match': etag } })
  const lastEventId = etag.slice('W/"'.length, -1)
  const streaming = app.inject({ url: address, headers: { ...events, 'last-event-id': lastEventId } })
  await looked(2)
  results.set(processing({ progress: 0.9, updatedAt: new Date(3) }))
  assert.equal((await waiting).json().progress, 0.9)
  results.set(succeededJob(key, { updatedAt: new Date(4) }))
  assert.deepEqual(
    eventsOf((await streaming).body).map(({ data }) => data.progress),
    [0.9, 1],
  )
})

test('what was never uploaded is not waited for; what is uploaded is, until it is received and done', async (t) => {
  const { app, results, bucketHas, looked } = await start(t)
  assert.equal((await app.inject(`${address}?wait=20`)).statusCode, 404)
  bucketHas.head = head
  const upload = await app.inject(`${address}?wait=1`)
  assert.deepEqual(upload.json(), { key, version: 'e1', status: 'queued' })
  bucketHas.asked = 0
  const waiting = app.inject(`${address}?wait=20`)
  await looked(2)
  results.set(foundJob(key, { updatedAt: new Date() }))
  await looked(2)
  results.set(succeededJob(key))
  assert.equal((await waiting).json().status, 'succeeded')
  assert.equal(bucketHas.asked, 1)
})

test('another take has a result of its own, and the bucket is not asked for it', async (t) => {
  const { app, results, bucketHas } = await start(t, succeededJob(key))
  bucketHas.head = head
  assert.equal((await app.inject(`${address}?take=1&wait=20`)).statusCode, 404)
  results.set(succeededJob(key, { take: 1 }))
  assert.equal((await app.inject(`${address}?take=1&wait=20`)).json().take, 1)
  assert.equal(bucketHas.asked, 0)
})

test('a database that is away is told when the time is up; too many who wait are 503 at once', async (t) => {
  const { app, results } = await start(t)
  for (const code of ['DATABASE_UNAVAILABLE', 'OVERLOADED'] as const) {
    results.failure = new RetryableFailure(code, 'as it is')
    const response = await app.inject(code === 'OVERLOADED' ? address : `${address}?wait=1`)
    assert.deepEqual([response.statusCode, response.json().code], [503, code])
    assert.equal(response.headers['retry-after'], '5')
  }
})

const events = { accept: 'text/html;q=0.5, text/event-stream' }

test('events tell of every change until the end', async (t) => {
  const { app, results, looked } = await start(t, foundJob(key, { updatedAt: new Date() }))
  const streaming = app.inject({ url: address, headers: events })
  await looked(2)
  results.set(processing({ updatedAt: new Date() }))
  await looked(2)
  results.set(succeededJob(key))
  const response = await streaming
  assert.equal(response.statusCode, 200)
  assert.equal(response.headers['content-type'], 'text/event-stream')
  assert.equal(response.headers['cache-control'], 'no-store')
  assert.equal(response.headers['x-accel-buffering'], 'no')
  const told = eventsOf(response.body)
  assert.deepEqual(
    told.map(({ event, data }) => [event, data.status]),
    [
      ['progress', 'queued'],
      ['progress', 'processing'],
      ['end', 'succeeded'],
    ],
  )
  assert.equal(new Set(told.map(({ id }) => id)).size, 3)
  for (const { data } of told) assert.deepEqual(Value.Errors(Result, data), [])
})

test('what was seen is not told again, and after the end there is nothing to come back for', async (t) => {
  const { app, results, looked } = await start(t, processing({ updatedAt: new Date() }))
  const etag = String((await app.inject(address)).headers.etag)
  const last = etag.slice('W/"'.length, -1)
  const streaming = app.inject({ url: address, headers: { ...events, 'last-event-id': last } })
  await looked(2)
  results.set(succeededJob(key))
  const [end, ...more] = eventsOf((await streaming).body)
  assert.equal(end!.event, 'end')
  assert.deepEqual(more, [])
  const again = await app.inject({ url: address, headers: { ...events, 'last-event-id': end!.id } })
  assert.deepEqual([again.statusCode, again.body, again.headers['content-length']], [204, '', undefined])
})

test('events of what was never uploaded are a problem, and those of HEAD are none', async (t) => {
  const { app, results } = await start(t)
  const response = await app.inject({ url: address, headers: events })
  assert.deepEqual([response.statusCode, response.json().code], [404, 'RESULT_NOT_FOUND'])
  results.set(processing())
  assert.equal((await app.inject({ method: 'HEAD', url: address, headers: events })).statusCode, 200)
  const refused = { accept: 'application/json, text/event-stream;q=0' }
  assert.equal((await app.inject({ url: address, headers: refused })).json().status, 'processing')
})

for (const onLambda of [true, false]) {
  test(`a stream that is ended while its first event is signed has that event${onLambda ? ', as each on AWS Lambda' : ''}`, async (t) => {
    const results = fakeResults()
    results.set(processing({ updatedAt: new Date() }))
    const { get, ...others } = testPresigner(bucket)
    const signing = Promise.withResolvers<void>()
    const presigner: typeof others & { get: typeof get } = {
      ...others,
      async get(download) {
        signing.resolve()
        await sleep(100)
        return get(download)
      },
    }
    const app = await createApp(apiOptions({ results, presigner, onLambda }))
    t.after(() => app.close())
    const streaming = app.inject({ url: `${address}?image_url=presigned`, headers: events })
    await signing.promise
    if (!onLambda) await app.close()
    const [first, ...more] = eventsOf((await streaming).body)
    assert.match(first!.data.image_url, /X-Amz-Signature/)
    assert.deepEqual(more, [])
  })
}

function eventsOf(body: string) {
  return body
    .split('\n\n')
    .filter((text) => text.startsWith('id: '))
    .map((text) => {
      const [, id, event, data] = /^id: (.+)\nevent: (.+)\ndata: (.+)$/.exec(text)!
      return { id: id!, event, data: JSON.parse(data!) }
    })
}
