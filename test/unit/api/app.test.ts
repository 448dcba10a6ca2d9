import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import Value from 'typebox/value'
import { Problem, Result } from '#shared/contract/result.ts'
import type { FoundJob } from '#shared/db/results.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { readApiKeys } from '../../../services/api/api-key.ts'
import { type AppOptions, createApp } from '../../../services/api/app.ts'
import { apiOptions } from '../../api-options.ts'
import { fakeResults, foundJob as foundJobOf, noResults, resultsOf } from '../../found-job.ts'
import { analysisOf, uploadOf } from '../../job.ts'

const key = 'uploads/a.jpg'
const address = `/v1/results/${key}`
const foundJob = (job: Partial<FoundJob['job']>) => foundJobOf(key, job)
const apiKey = 'a-key-of-the-app'

test('a finished result has everything and no Retry-After', async (t) => {
  const { embedding, ...analysis } = analysisOf(uploadOf(key))
  const found = foundJob({ state: 'succeeded', progress: 1, finishedAt: new Date('2026-01-02T03:04:09Z') })
  found.analysis = { ...analysis, id: 1, jobId: found.job.id, createdAt: new Date(0) }
  const response = await get(t, address, { find: found })
  assert.equal(response.statusCode, 200)
  assert.equal(response.headers['retry-after'], undefined)
  const result = response.json()
  assert.deepEqual(Value.Errors(Result, result), [])
  assert.deepEqual(result, {
    key,
    version: 'e1',
    take: 0,
    status: 'succeeded',
    progress: 1,
    attempt: 1,
    created_at: '2026-01-02T03:04:06.000Z',
    started_at: '2026-01-02T03:04:07.000Z',
    finished_at: '2026-01-02T03:04:09.000Z',
    genre: 'landscape',
    genre_score: 0.75,
    styles: [
      { name: 'Impressionism', score: 0.5 },
      { name: 'Realism', score: 0.25 },
      { name: 'Romanticism', score: 0.125 },
      { name: 'Fauvism', score: 0.0625 },
      { name: 'Baroque', score: 0.03125 },
    ],
    image_url: 'https://pictures.s3.us-east-1.amazonaws.com/uploads/a.jpg',
    music_url: 'https://pictures.s3.us-east-1.amazonaws.com/generated/a.jpg/1.wav',
    music: {
      duration_seconds: 10,
      sample_rate: 32_000,
      prompt: 'A slow waltz',
      seed: 2 ** 32 - 1,
      model: 'tiny-random-musicgen',
    },
    timings: { queue_ms: 1, fetch_ms: 2, classify_ms: 3, generate_ms: 4, store_ms: 5, total_ms: 15 },
  })
})

test('a failed result has its error', async (t) => {
  const find = foundJob({
    state: 'failed',
    errorCode: 'IMAGE_CORRUPT',
    errorMessage: 'The file ends early',
    errorRetryable: false,
  })
  const { error, status } = (await get(t, address, { find })).json()
  assert.equal(status, 'failed')
  assert.deepEqual(error, { code: 'IMAGE_CORRUPT', message: 'The file ends early', retryable: false })
})

test('a code that a newer consumer has written is told as the general one', async (t) => {
  const errorCode = 'IMAGE_HAUNTED' as 'IMAGE_CORRUPT'
  const find = foundJob({ state: 'failed', errorCode, errorMessage: 'A ghost looks out of it', errorRetryable: false })
  const response = await get(t, address, { find })
  assert.equal(response.statusCode, 200)
  assert.deepEqual(Value.Errors(Result, response.json()), [])
  const { error } = response.json()
  assert.deepEqual(error, { code: 'INTERNAL_ERROR', message: 'A ghost looks out of it', retryable: false })
})

test('/info tells versions and models, asked for once a minute, and the versions alone without a database', async (t) => {
  const model = (name: string) => ({ name, revision: 'r1' })
  const models = { music: model('musicgen'), classifier: model('clip') }
  let asked = 0
  const app = await start(t, {
    results: {
      ...noResults,
      models: async () => {
        asked++
        if (asked === 1) throw new RetryableFailure('DATABASE_UNAVAILABLE', 'away')
        return models
      },
    },
  })
  const { version, node, ...without } = (await app.inject('/info')).json()
  assert.match(version, /^\d+\.\d+\.\d+/)
  assert.deepEqual([node, without], [process.version, {}])
  for (let i = 0; i < 3; i++) assert.deepEqual((await app.inject('/info')).json(), { version, node, models })
  assert.equal(asked, 2)
})

test('/metrics is for operators, and counts requests by route, method and status', async (t) => {
  const app = await start(t, { auth: { keys: readApiKeys(`${apiKey},an-operators-key:admin`) } })
  const as = (key: string, url: string) => app.inject({ url, headers: { authorization: `Bearer ${key}` } })
  await assertProblem(await app.inject('/metrics'), 401, 'UNAUTHORIZED')
  await assertProblem(await as(apiKey, '/metrics'), 403, 'FORBIDDEN')
  await as(apiKey, address)
  await as(apiKey, `${address}/other`)
  const { body, headers } = await as('an-operators-key', '/metrics')
  assert.match(String(headers['content-type']), /^text\/plain; version=0\.0\.4/)
  assert.match(body, /_seconds_count\{method="GET",route="\/v1\/results\/\*",status="404"\} 2\n/)
  assert.match(body, /^promenade_api_requests_in_flight 1$/m)
  assert.match(body, /^promenade_api_waiting_clients 0$/m)
  assert.match(body, /^nodejs_eventloop_lag_seconds /m)
  assert.doesNotMatch(body, /uploads/)
})

for (const [etaSeconds, retryAfter] of [
  [null, '2'],
  [0.2, '1'],
  [3.1, '4'],
  [90, '15'],
] as const) {
  test(`a result that takes ${etaSeconds ?? 'an unknown number of'} more seconds may be asked for after ${retryAfter}`, async (t) => {
    const find = foundJob({ state: 'processing', stage: 'composing', progress: 0.5, etaSeconds })
    const response = await get(t, address, { find })
    assert.equal(response.headers['retry-after'], retryAfter)
    assert.deepEqual(Value.Errors(Result, response.json()), [])
    assert.equal(response.json().stage, 'composing')
  })
}

test('the error of an earlier try is not shown while the work goes on', async (t) => {
  const find = foundJob({ state: 'queued', errorCode: 'STORAGE_UNAVAILABLE', errorMessage: 'x', errorRetryable: true })
  assert.equal((await get(t, address, { find })).json().error, undefined)
})

test('the same ETag is answered 304, also from a list and in its strong form, until the job changes', async (t) => {
  const find = foundJob({ state: 'processing', progress: 0.5 })
  const first = await get(t, address, { find })
  const etag = String(first.headers.etag)
  assert.match(etag, /^W\/"[\w-]+"$/)
  for (const sent of [etag, `"other", ${etag}`, etag.slice(2), '*']) {
    const again = await get(t, address, { find, headers: { 'if-none-match': sent } })
    assert.equal(again.statusCode, 304, sent)
    assert.equal(again.body, '')
    assert.equal(again.headers['content-length'], undefined, 'clients would wait for a body')
    assert.equal(again.headers.etag, etag)
    assert.equal(again.headers['retry-after'], '2')
  }
  const later = foundJob({ state: 'processing', progress: 0.6, updatedAt: new Date('2026-01-02T03:04:08.001Z') })
  const changed = await get(t, address, { find: later, headers: { 'if-none-match': etag } })
  assert.equal(changed.statusCode, 200)
})

test('an address with its origin, as proxies are asked for it, is the same address', async (t) => {
  const app = await start(t, { results: resultsOf(async () => foundJob({ state: 'queued' })) })
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  for (const origin of ['http://api.example', 'http://api.example:8080', 'https://api.example', 'HTTP://API.example']) {
    const asked = request({ host: '127.0.0.1', port, path: `${origin}${address}?take=0` }).end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    assert.deepEqual([response.statusCode, JSON.parse(await text(response)).key], [200, key], origin)
  }
})

test('what is uploaded and not yet received is queued; what never was is not found', async (t) => {
  const head = { etag: 'e1', versionId: 'v1', size: 3, lastModified: new Date(0) }
  const queued = await get(t, address, { head })
  assert.deepEqual(queued.json(), { key, version: 'v1', status: 'queued' })
  assert.equal(queued.headers['retry-after'], '2')
  assert.equal((await get(t, `${address}?version=v1`, { head })).statusCode, 200)
  await assertProblem(await get(t, `${address}?version=v2`, { head }), 404, 'RESULT_NOT_FOUND')
  await assertProblem(await get(t, address, {}), 404, 'RESULT_NOT_FOUND')
  const unversioned = await get(t, address, { head: { ...head, versionId: 'null' } })
  assert.equal(unversioned.json().version, 'e1')
})

test('key and version reach the database as they were meant', async (t) => {
  const asked: unknown[] = []
  const app = await start(t, {
    results: resultsOf(async (wanted) => {
      asked.push(wanted)
      return undefined
    }),
  })
  await app.inject('/v1/results/uploads/100%25/a+b%252F.jpg?version=a%2Bb')
  await app.inject('/v1/results/uploads%2F%EA%B7%B8%EB%A6%BC.jpg')
  assert.deepEqual(asked, [
    { key: 'uploads/100%/a+b%2F.jpg', version: 'a+b', take: 0 },
    { key: 'uploads/그림.jpg', version: undefined, take: 0 },
  ])
})

for (const [name, path, status, code] of [
  ['an unknown address', '/v2/nothing', 404, 'INVALID_REQUEST'],
  ['a broken escape', '/v1/results/uploads/%zz', 400, 'INVALID_REQUEST'],
  ['a key outside uploads/', '/v1/results/generated/a.wav', 400, 'INVALID_REQUEST'],
  ['an unknown parameter', `${address}?verison=1`, 400, 'INVALID_REQUEST'],
  ['an empty version', `${address}?version=`, 400, 'INVALID_REQUEST'],
  ['two versions', `${address}?version=1&version=2`, 400, 'INVALID_REQUEST'],
] as const) {
  test(`${name} is a problem: ${status} ${code}`, async (t) => {
    await assertProblem(await get(t, path, {}), status, code)
  })
}

test('a method that an address lacks is 405 with those that it has, whatever the body', async (t) => {
  const app = await start(t, {})
  const headers = { 'content-type': 'image/png' }
  for (const url of [address, '/healthz', '/openapi.json']) {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS'] as const) {
      const response = await app.inject({ method, url, headers, ...(method === 'POST' && { payload: 'x' }) })
      await assertProblem(response, 405, 'INVALID_REQUEST')
      assert.equal(response.headers.allow, 'GET, HEAD')
    }
  }
  assert.equal((await app.inject({ method: 'HEAD', url: '/healthz' })).statusCode, 200)
  await assertProblem(await app.inject({ method: 'DELETE', url: '/nothing' }), 404, 'INVALID_REQUEST')
})

test('a database or a bucket that is away is 503 and Retry-After, and what the host said stays in the log', async (t) => {
  for (const code of ['DATABASE_UNAVAILABLE', 'STORAGE_UNAVAILABLE'] as const) {
    const find = new RetryableFailure(code, 'connect ECONNREFUSED 10.1.2.3:4000')
    const response = await get(t, address, { find })
    await assertProblem(response, 503, code)
    assert.equal(response.headers['retry-after'], '5')
    assert.doesNotMatch(response.body, /10\.1\.2\.3/)
  }
})

test('a mistake of ours is 500 without a trace of it', async (t) => {
  const response = await get(t, address, { find: new TypeError('cannot read properties of secret') })
  await assertProblem(response, 500, 'INTERNAL_ERROR')
  assert.doesNotMatch(response.body, /secret/)
})

test('with keys only the health of the service and its description are open', async (t) => {
  const app = await start(t, { auth: { keys: readApiKeys(apiKey) } })
  await assertProblem(await app.inject(address), 401, 'UNAUTHORIZED')
  const response = await app.inject({ url: address, headers: { authorization: `Bearer ${apiKey}` } })
  assert.notEqual(response.statusCode, 401)
  for (const open of ['/healthz', '/readyz', '/openapi.json', '/docs']) {
    assert.equal((await app.inject(open)).statusCode, 200, open)
  }
})

test('readiness names the part that does not answer, in bounded time', async (t) => {
  const never = () => new Promise<never>(() => {})
  const bucketAway = await get(t, '/readyz', { pingBucket: async () => Promise.reject(new Error('no')) })
  await assertProblem(bucketAway, 503, 'STORAGE_UNAVAILABLE')
  assert.equal(bucketAway.json().detail, 'no good answer from the bucket')
  const bothAway = await get(t, '/readyz', { pingBucket: never, pingDatabase: never })
  await assertProblem(bothAway, 503, 'DATABASE_UNAVAILABLE')
  assert.equal(bothAway.json().detail, 'no good answer from the database and the bucket')
})

test('one key whose calls are all held keeps nobody else from waiting, and nobody, itself included, from asking', async (t) => {
  const results = fakeResults()
  results.set(foundJob({ state: 'processing', etaSeconds: 60 }))
  const app = await start(t, { results, auth: { keys: readApiKeys(`${apiKey},a-key-of-another:read`) } })
  const ask = (key: string, query: string, headers = {}) =>
    app.inject({ url: `${address}${query}`, headers: { authorization: `Bearer ${key}`, ...headers } })
  const held: ReturnType<typeof ask>[] = []
  while (held.push(ask(apiKey, '?wait=60')) < 1_500) if (held.length % 100 === 0) await setImmediate()
  const refused = await Promise.any(held)
  await assertProblem(refused, 503, 'OVERLOADED')
  assert.equal(refused.headers['retry-after'], '5')
  await assertProblem(await ask(apiKey, '', { accept: 'text/event-stream' }), 503, 'OVERLOADED')
  for (const key of [apiKey, 'a-key-of-another']) assert.equal((await ask(key, '')).statusCode, 200)
  const other = [ask('a-key-of-another', '?wait=60'), ask('a-key-of-another', '', { accept: 'text/event-stream' })]
  results.set(foundJob({ state: 'canceled', updatedAt: new Date() }))
  for (const answer of await Promise.all(other))
    assert.deepEqual([answer.statusCode, /canceled/.test(answer.body)], [200, true])
  const statuses = (await Promise.all(held)).map(({ statusCode }) => statusCode)
  assert.equal(statuses.filter((status) => status === 200).length, 1_000)
})

test('however many ask for what is open to everyone, nobody else is refused', async (t) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const app = await start(t, { database: { ping: () => promise } })
  const asked = Array.from({ length: 1_100 }, () => app.inject('/readyz').then(({ statusCode }) => statusCode))
  const answer = await app.inject(address)
  resolve()
  assert.deepEqual(new Set(await Promise.all(asked)), new Set([200]))
  await assertProblem(answer, 404, 'RESULT_NOT_FOUND')
})

interface Fakes {
  /** What the database has, or throws. */
  find?: FoundJob | Error
  /** What the bucket has. */
  head?: { etag: string; versionId?: string; size: number; lastModified: Date }
  pingDatabase?: () => Promise<void>
  pingBucket?: () => Promise<void>
  headers?: Record<string, string>
}

async function get(t: TestContext, url: string, { find, head, pingDatabase, pingBucket, headers }: Fakes) {
  const app = await start(t, {
    results: resultsOf(async () => {
      if (find instanceof Error) throw find
      return find
    }),
    objects: {
      head: async (_key, _signal, versionId = head?.versionId) => (head?.versionId === versionId ? head : undefined),
      ping: pingBucket ?? (async () => {}),
    },
    database: { ping: pingDatabase ?? (async () => {}) },
  })
  return app.inject({ url, ...(headers && { headers }) })
}

async function start(t: TestContext, more: Partial<AppOptions>) {
  const app = await createApp(apiOptions(more))
  t.after(() => app.close())
  return app
}

type Response = Awaited<ReturnType<typeof get>>

async function assertProblem(response: Response, status: number, code: string): Promise<void> {
  assert.equal(response.statusCode, status, response.body)
  assert.equal(response.headers['content-type'], 'application/problem+json')
  const problem = response.json()
  assert.deepEqual(Value.Errors(Problem, problem), [])
  assert.deepEqual({ status: problem.status, code: problem.code }, { status, code })
  assert.doesNotMatch(response.body, /\bat .*\.[jt]s\b/)
}
