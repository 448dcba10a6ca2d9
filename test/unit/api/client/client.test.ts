import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createPromenadeClient, PromenadeError } from '../../../../services/api/client/client.ts'
import { all, answer, createQuickClock, lost, type Step, startScriptedApi } from '../../../scripted-api.ts'
import { until } from '../../../until.ts'

const key = 'uploads/그림 1+1.jpg'
const path = '/v1/results/uploads/%EA%B7%B8%EB%A6%BC%201%2B1.jpg'
const queued = { key, status: 'queued' }
const problem = { type: 'about:blank', title: 'No such result', status: 404, code: 'RESULT_NOT_FOUND' }

test('a result is asked for by its key as it is meant, with the key of the API, and told with its ETag', async (t) => {
  const { client, received } = await start(t, [
    answer(200, queued, { etag: 'W/"1"', 'retry-after': '4' }),
    answer(304, undefined, { etag: 'W/"1"' }),
  ])
  assert.deepEqual(
    await client.result(key, { version: 'a b', take: 1, musicUrl: 'presigned', imageUrl: 'presigned' }),
    {
      result: queued,
      etag: 'W/"1"',
      retryAfterSeconds: 4,
    },
  )
  assert.equal(received[0]!.url, `${path}?version=a%20b&take=1&music_url=presigned&image_url=presigned`)
  assert.equal(received[0]!.headers.authorization, 'Bearer a-key-of-the-app')
  assert.equal(await client.result(key, { ifNoneMatch: 'W/"1"' }), undefined)
  assert.deepEqual([received[1]!.url, received[1]!.headers['if-none-match']], [path, 'W/"1"'])
})

test('a problem is a PromenadeError, at once when trying again does not help', async (t) => {
  const { client, received, clock } = await start(t, [answer(404, { ...problem, detail: 'nothing there' })])
  await assert.rejects(client.result(key), (error: unknown) => {
    assert.ok(error instanceof PromenadeError)
    const { code, message, status, retryable, problem } = error
    assert.deepEqual(
      { code, message, status, retryable, title: problem?.title },
      { code: 'RESULT_NOT_FOUND', message: 'nothing there', status: 404, retryable: false, title: 'No such result' },
    )
    return true
  })
  assert.deepEqual([received.length, clock.slept], [1, []])
})

test('what may succeed later is tried again, after the time that the API asks for and ever longer', async (t) => {
  const limited = { ...problem, status: 429, code: 'RATE_LIMITED' }
  const { client, received, clock } = await start(t, [
    answer(429, limited, { 'retry-after': '7' }),
    answer(503, '<html>'),
    lost,
    answer(200, queued),
  ])
  assert.equal((await client.result(key)).result.key, key)
  assert.deepEqual([received.length, clock.slept], [4, [7_375, 750, 1_500]])
})

test('it is given up after a few times, and at once when the API asks for a long time', async (t) => {
  const { client, received } = await start(t, [lost])
  await assert.rejects(client.result(key), { name: 'PromenadeError', code: 'NETWORK_ERROR', retryable: true })
  assert.equal(received.length, 4)
  const limited = { ...problem, status: 429, code: 'RATE_LIMITED' }
  const other = await start(t, [answer(429, limited, { 'retry-after': '3600' })])
  await assert.rejects(other.client.result(key), { code: 'RATE_LIMITED', retryAfterSeconds: 3600 })
  assert.equal(other.received.length, 1)
})

test('an answer that is not from Promenade says so', async (t) => {
  const { client } = await start(t, [answer(404, 'not here')])
  await assert.rejects(client.result(key), { code: 'UNEXPECTED_ANSWER', status: 404, retryable: false })
  const network = await start(t, [answer(403, { code: 1015, title: ['rate limited'] })])
  await assert.rejects(network.client.result(key), { code: 'UNEXPECTED_ANSWER', status: 403, retryable: false })
  const portal = await start(t, [(response) => void response.end('<html>welcome</html>')])
  await assert.rejects(portal.client.result(key), { code: 'UNEXPECTED_ANSWER', retryable: true })
})

test('an abort ends a call with its own reason, whatever it is at', async (t) => {
  const { client, received } = await start(t, [() => {}])
  const reason = new Error('the user went back')
  await assert.rejects(client.result(key, { signal: AbortSignal.abort(reason) }), reason)
  assert.equal(received.length, 0)
  const stop = new AbortController()
  const pending = client.result(key, { signal: stop.signal })
  await until(() => received.length > 0)
  stop.abort(reason)
  await assert.rejects(pending, reason)
})

test('a key that would lead elsewhere is not asked for', async (t) => {
  const { client, received } = await start(t, [answer(200, queued)])
  await assert.rejects(client.result('uploads/../../openapi.json'), TypeError)
  assert.equal(received.length, 0)
})

test('what can never be sent is a TypeError at once, which says what was expected', async (t) => {
  for (const baseUrl of ['', '/api', 'api.example.com', 'localhost:3000', 'http://', 'ftp://api.example.com']) {
    assert.throws(() => createPromenadeClient({ baseUrl }), { name: 'TypeError', message: /^Expected baseUrl to be / })
  }
  for (const apiKey of ['two\nlines', '열쇠']) {
    const options = { baseUrl: 'https://api.example.com', apiKey }
    assert.throws(() => createPromenadeClient(options), { name: 'TypeError', message: /^Expected apiKey to be / })
  }
  const { client, received } = await start(t, [answer(200, queued)])
  const half = { name: 'TypeError', message: /half of a surrogate pair/ }
  await assert.rejects(client.result('uploads/\ud83d.jpg'), half)
  await assert.rejects(client.page({ prefix: '\ud83d' }), half)
  assert.equal(received.length, 0)
})

test('caches are passed by where the platform knows them, and not told of in React Native, which would ask for another address', async (t) => {
  const { baseUrl } = await startScriptedApi(t, [answer(200, queued)])
  const cacheModes: (string | undefined)[] = []
  const call = async () => {
    const noted: typeof fetch = (address, request) => {
      cacheModes.push(request?.cache)
      return fetch(address, request)
    }
    await createPromenadeClient({ baseUrl, fetch: noted }).result(key)
  }
  await call()
  const { Request } = globalThis
  t.after(() => Object.assign(globalThis, { Request }))
  Object.assign(globalThis, { Request: class {} })
  await call()
  assert.deepEqual(cacheModes, ['no-store', undefined])
})

test('the list goes on from page to page until there is no next', async (t) => {
  const { client, received } = await start(t, [
    answer(200, { results: [queued], next_cursor: 'c+1' }),
    answer(200, { results: [] }),
  ])
  const since = new Date('2026-01-02T03:04:05Z')
  const pages = await all(
    client.list({ state: 'queued', prefix: 'uploads/그', since, limit: 1, imageUrl: 'presigned' }),
  )
  assert.deepEqual(pages, [[queued], []])
  const filters =
    '/v1/results?state=queued&prefix=uploads%2F%EA%B7%B8&limit=1&since=2026-01-02T03%3A04%3A05.000Z&image_url=presigned'
  assert.deepEqual(
    received.map(({ url }) => url),
    [filters, `${filters}&cursor=c%2B1`],
  )
})

test('one page of the list says where the next begins, also when it is empty', async (t) => {
  const { client, received } = await start(t, [
    answer(200, { results: [], next_cursor: 'c+1' }),
    lost,
    answer(200, { results: [queued] }),
  ])
  assert.deepEqual(await client.page({ limit: 1 }), { results: [], nextCursor: 'c+1' })
  assert.deepEqual(await client.page({ limit: 1, cursor: 'c+1' }), { results: [queued], nextCursor: undefined })
  assert.deepEqual(
    received.map(({ url }) => url),
    ['/v1/results?limit=1', ...Array(2).fill('/v1/results?limit=1&cursor=c%2B1')],
  )
})

test('what is ordered is ordered once, however often it has to be said', async (t) => {
  const { client, received } = await start(t, [lost, answer(202, { ...queued, take: 1 })])
  const order = { key, prompt: 'a waltz', seed: 7, duration_seconds: 5 }
  assert.equal((await client.generate(order)).take, 1)
  assert.deepEqual(
    received.map(({ method, url, body }) => [method, url, JSON.parse(body)]),
    Array(2).fill(['POST', '/v1/generations', order]),
  )
  const [first, second] = received.map(({ headers }) => headers['idempotency-key'])
  assert.ok(first && first.length > 20)
  assert.equal(first, second)
  await client.cancel({ key, take: 1 }, { idempotencyKey: 'mine' })
  assert.deepEqual([received[2]!.url, received[2]!.headers['idempotency-key']], ['/v1/cancellations', 'mine'])
})

test('analyze asks once, and its end without a result tells where to go on', async (t) => {
  const late = { ...problem, status: 504, code: 'TIMEOUT', instance: `${path}?version=1` }
  const analysis = { genre: 'a', styles: ['b'], image_url: 'c', music_url: 'd' }
  const { client, received } = await start(t, [answer(504, late, { 'retry-after': '3' }), answer(200, analysis)])
  await assert.rejects(client.analyze('https://b.s3.r.amazonaws.com/uploads/a.jpg'), (error: PromenadeError) => {
    assert.deepEqual([error.code, error.problem?.instance, error.retryAfterSeconds], ['TIMEOUT', late.instance, 3])
    return true
  })
  assert.equal(received.length, 1)
  assert.deepEqual(await client.analyze('https://b.s3.r.amazonaws.com/uploads/a.jpg'), analysis)
})

async function start(t: TestContext, steps: Step[]) {
  const { baseUrl, received } = await startScriptedApi(t, steps)
  const clock = createQuickClock()
  return {
    client: createPromenadeClient({ baseUrl: `${baseUrl}/`, apiKey: 'a-key-of-the-app' }, clock),
    received,
    clock,
  }
}
