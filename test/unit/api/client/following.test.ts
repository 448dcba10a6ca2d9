import assert from 'node:assert/strict'
import type { ServerResponse } from 'node:http'
import { type TestContext, test } from 'node:test'
import { createApp } from '../../../../services/api/app.ts'
import { createPromenadeClient, type PromenadeError, type Result } from '../../../../services/api/client/client.ts'
import { apiOptions } from '../../../api-options.ts'
import { fakeResults, foundJob, succeededJob } from '../../../found-job.ts'
import { all, answer, createQuickClock, lost, type Step, startScriptedApi } from '../../../scripted-api.ts'

const key = 'uploads/a.jpg'
const path = `/v1/results/${key}`
const queued: Result = { key, status: 'queued' }
const processing: Result = { key, status: 'processing', progress: 0.5 }
const done: Result = { key, status: 'succeeded', progress: 1 }
const away = { type: 'about:blank', title: 'x', status: 503, code: 'DATABASE_UNAVAILABLE' }
const unknown = { type: 'about:blank', title: 'x', status: 404, code: 'RESULT_NOT_FOUND' }

test('wait is one call that the API holds', async (t) => {
  const { client, received } = await start(t, [answer(200, done)])
  assert.deepEqual(await client.wait(key, { version: 'v', take: 2 }), done)
  assert.deepEqual(
    received.map(({ url }) => url),
    [`${path}?version=v&take=2&wait=25`],
  )
})

test('wait goes on through calls that are not held, lost connections and outages, at the pace it is asked for', async (t) => {
  const { client, received, clock } = await start(t, [
    answer(200, queued, { 'retry-after': '6' }),
    lost,
    answer(503, away, { 'retry-after': '5' }),
    answer(200, done),
  ])
  const interruptions: string[] = []
  assert.deepEqual(await client.wait(key, { onInterruption: ({ code }) => interruptions.push(code) }), done)
  assert.deepEqual([received.length, clock.slept], [4, [6_000, 375, 5_750]])
  assert.deepEqual(interruptions, ['NETWORK_ERROR', 'DATABASE_UNAVAILABLE'])
})

test('wait with onProgress tells every change, and asks for no more than those', async (t) => {
  const { client, received } = await start(t, [
    answer(200, queued, { etag: 'W/"1"' }),
    answer(304, undefined, { etag: 'W/"1"' }),
    answer(200, processing, { etag: 'W/"2"' }),
    answer(200, done, { etag: 'W/"3"' }),
  ])
  const seen: Result[] = []
  await client.wait(key, { onProgress: (result) => seen.push(result) })
  assert.deepEqual(seen, [queued, processing, done])
  assert.deepEqual(
    received.map(({ url, headers }) => [url, headers['if-none-match']]),
    [
      [`${path}?wait=0`, undefined],
      [`${path}?wait=25`, 'W/"1"'],
      [`${path}?wait=25`, 'W/"1"'],
      [`${path}?wait=25`, 'W/"2"'],
    ],
  )
})

test('a failed job is a result, and what was never uploaded an error', async (t) => {
  const error = { code: 'IMAGE_EMPTY', message: 'it is empty', retryable: false }
  const { client } = await start(t, [answer(200, { key, status: 'failed', error }), answer(404, unknown)])
  assert.deepEqual((await client.wait(key)).error, error)
  await assert.rejects(client.wait(key), { code: 'RESULT_NOT_FOUND' })
})

test('the time is bounded, and an abort ends it', async (t) => {
  for (const streaming of [true, false]) {
    const { client } = await start(t, [(response) => void (streaming && open(response))], streaming)
    const follow = (options: { timeoutMs?: number; signal?: AbortSignal }) =>
      streaming ? all(client.stream(key, options)) : client.wait(key, options)
    await assert.rejects(follow({ timeoutMs: 50 }), { name: 'PromenadeError', code: 'TIMEOUT', retryable: true })
    const stop = new AbortController()
    const pending = follow({ signal: stop.signal })
    setTimeout(() => stop.abort(new Error('gone')), 20)
    await assert.rejects(pending, /^Error: gone$/)
    await assert.rejects(follow({ signal: stop.signal }), /^Error: gone$/)
  }
})

test('stream tells results as they come, and takes up after the last one when it is cut off', async (t) => {
  const { client, received, clock } = await start(t, [
    (response) => {
      open(response)
      response.write(event('progress', '1', queued))
      response.write('id: 2\nevent: progress\ndata: {"key":"upl', () => response.destroy())
    },
    lost,
    (response) => {
      open(response)
      response.write(event('progress', '2', processing))
      // In good order, as by a server that closes.
      response.end()
    },
    (response) => {
      open(response)
      response.write(': still here\n\n')
      response.end(event('end', '3', done))
    },
  ])
  const interruptions: string[] = []
  const onInterruption = ({ message }: Error) => interruptions.push(message)
  assert.deepEqual(await all(client.stream(key, { onInterruption })), [queued, processing, done])
  assert.deepEqual(
    received.map(({ headers }) => [headers.accept, headers['last-event-id']]),
    [undefined, '1', '1', '2'].map((id) => ['text/event-stream', id]),
  )
  assert.deepEqual(clock.slept, [375, 750, 1_000])
  assert.equal(interruptions.length, 2, 'an end in good order is none')
})

test('a stream that ends in good order and brings nothing new is gone on with by calls that are held', async (t) => {
  const { client, received, clock } = await start(t, [
    (response) => {
      open(response)
      response.end(event('progress', '1', queued))
    },
    (response) => {
      open(response)
      response.end()
    },
    answer(304, undefined, { etag: 'W/"1"' }),
    answer(200, processing, { etag: 'W/"2"' }),
    answer(200, done),
  ])
  const onInterruption = () => assert.fail('nothing has gone wrong')
  assert.deepEqual(await all(client.stream(key, { onInterruption })), [queued, processing, done])
  assert.deepEqual(
    received.map(({ url, headers }) => [url, headers['last-event-id'], headers['if-none-match']]),
    [
      [path, undefined, undefined],
      [path, '1', undefined],
      [`${path}?wait=25`, undefined, 'W/"1"'],
      [`${path}?wait=25`, undefined, 'W/"1"'],
      [`${path}?wait=25`, undefined, 'W/"2"'],
    ],
  )
  assert.equal(clock.slept[0], 1_000)
})

test('where a stream ends with its first event, as on AWS Lambda, the end is heard of at once all the same', async (t) => {
  const results = fakeResults()
  results.set(foundJob(key, { updatedAt: new Date() }))
  const app = await createApp(apiOptions({ results, onLambda: true }))
  t.after(() => app.close())
  const baseUrl = await app.listen({ host: '127.0.0.1', port: 0 })
  const client = createPromenadeClient({ baseUrl }, createQuickClock())
  const onInterruption = () => assert.fail('nothing has gone wrong')
  const seen: string[] = []
  let endedAt = 0
  setTimeout(() => results.set(foundJob(key, { state: 'processing', stage: 'storing', updatedAt: new Date() })), 300)
  setTimeout(() => {
    endedAt = performance.now()
    results.set(succeededJob(key, { updatedAt: new Date() }))
  }, 1_000)
  for await (const { status } of client.stream(key, { onInterruption, imageUrl: 'presigned' })) seen.push(status)
  assert.deepEqual(seen, ['queued', 'processing', 'succeeded'])
  assert.ok(performance.now() - endedAt < 3_000)
})

test('what the API has no room to hold is asked for without, ever less often, and is no interruption', async (t) => {
  const full = { ...away, code: 'OVERLOADED' }
  const { client, received, clock } = await start(t, [
    answer(503, full, { 'retry-after': '5' }),
    answer(200, queued, { etag: 'W/"1"', 'retry-after': '2' }),
    answer(503, full, { 'retry-after': '5' }),
    answer(304, undefined, { etag: 'W/"1"' }),
    answer(200, done),
  ])
  const onInterruption = () => assert.fail('nothing has gone wrong')
  assert.deepEqual(await all(client.stream(key, { onInterruption })), [queued, done])
  assert.deepEqual(
    received.map(({ url }) => url),
    [path, `${path}?wait=0`, `${path}?wait=25`, `${path}?wait=0`, `${path}?wait=25`],
  )
  assert.deepEqual(clock.slept, [5_375, 500, 5_375, 500])
})

test('where not even that is answered, it is an interruption', async (t) => {
  const full = answer(503, { ...away, code: 'OVERLOADED' }, { 'retry-after': '5' })
  const { client } = await start(t, [full, full, answer(200, done)])
  const interruptions: string[] = []
  assert.deepEqual(await client.wait(key, { onInterruption: ({ code }) => interruptions.push(code) }), done)
  assert.deepEqual(interruptions, ['OVERLOADED'])
})

test('an event that is not JSON is an answer that nobody expected, after which the stream is asked for again', async (t) => {
  const { client } = await start(t, [
    (response) => {
      open(response)
      response.end('data: <html>\n\n')
    },
    (response) => {
      open(response)
      response.end(event('end', '1', done))
    },
  ])
  const interruptions: string[] = []
  const onInterruption = ({ code }: PromenadeError) => interruptions.push(code)
  assert.deepEqual(await all(client.stream(key, { onInterruption })), [done])
  assert.deepEqual(interruptions, ['UNEXPECTED_ANSWER'])
})

test('leaving a stream ends its connection', async (t) => {
  const closed = Promise.withResolvers<void>()
  const { client } = await start(t, [
    (response) => {
      open(response)
      response.on('close', closed.resolve)
      response.write(event('progress', '1', queued))
    },
  ])
  for await (const result of client.stream(key)) {
    assert.deepEqual(result, queued)
    break
  }
  await closed.promise
})

test('where answers cannot be read as they come, stream polls, and tells the same', async (t) => {
  const states: Step[] = [
    answer(200, queued, { etag: 'W/"1"' }),
    answer(200, processing, { etag: 'W/"2"' }),
    answer(200, done, { etag: 'W/"3"' }),
  ]
  const known = await start(t, states, false)
  assert.deepEqual(await all(known.client.stream(key)), [queued, processing, done])
  assert.equal(known.received[0]!.headers.accept, '*/*')

  const { baseUrl } = await startScriptedApi(t, [answer(200, queued), ...states])
  const bodiless: typeof fetch = async (...request) => {
    const response = await fetch(...request)
    const { ok, status, headers } = response
    return { ok, status, headers, json: () => response.json() } as Response
  }
  const found = createPromenadeClient({ baseUrl, fetch: bodiless }, createQuickClock())
  assert.deepEqual(await all(found.stream(key)), [queued, processing, done])
})

function open(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write('retry: 1000\n\n')
}

function event(type: string, id: string, result: Result): string {
  return `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify(result)}\n\n`
}

async function start(t: TestContext, steps: Step[], streaming?: boolean) {
  const { baseUrl, received } = await startScriptedApi(t, steps)
  const clock = createQuickClock()
  return { client: createPromenadeClient({ baseUrl, streaming }, clock), received, clock }
}
