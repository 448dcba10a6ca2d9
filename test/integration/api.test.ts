import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { eq } from 'drizzle-orm'
import Value from 'typebox/value'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { Problem, Result } from '#shared/contract/result.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { createOrders } from '#shared/db/orders.ts'
import { createResults } from '#shared/db/results.ts'
import { jobs as jobsTable } from '#shared/db/schema.ts'
import { createApp } from '../../services/api/app.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { apiOptions } from '../api-options.ts'
import { analysisOf, uploadOf } from '../job.ts'
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts'

const leaseSeconds = 60
/** So old may the answer of `/readyz` be. */
const readinessKeptMs = 1_000

let stack: Stack
let proxy: TcpProxy
let database: Database
let jobs: Jobs
let app: Awaited<ReturnType<typeof createApp>>
let port: number
let bucket: string

before(async () => {
  stack = await startStack()
  const url = new URL(stack.env.DATABASE_URL!)
  proxy = await startTcpProxy(Number(url.port))
  url.port = String(proxy.port)
  bucket = stack.env.BUCKET!
  database = openDatabase({ url: url.href, tls: 'off', timeoutSeconds: 0.5 })
  jobs = createJobs({ database })
  const objects = createObjectStore({ s3: stack.s3, bucket })
  const results = createResults({ database, bucket })
  const orders = createOrders({ database, bucket })
  const endpoint = stack.env.AWS_ENDPOINT_URL
  app = await createApp(apiOptions({ results, orders, objects, database, bucket, endpoint }))
  port = Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port)
})

after(async () => {
  await app?.close()
  await database?.close()
  await proxy?.close()
  await stack?.close()
})

test('a picture is followed through every state by its key', async () => {
  const key = 'uploads/states.jpg'
  const path = `/v1/results/${key}`
  assert.equal((await get(path)).status, 404)

  await stack.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'picture' }))
  const uploaded = await get(path)
  assert.deepEqual({ ...uploaded.body, version: undefined }, { key, version: undefined, status: 'queued' })
  assert.ok(uploaded.headers['retry-after'])

  const upload = uploadOf(key, { bucket, version: uploaded.body.version })
  const id = await jobs.receive(upload)
  assert.equal((await get(path)).body.status, 'queued')
  const lease = { id, token: 'a' }
  await jobs.claim(id, { token: 'a', leaseSeconds })
  await jobs.progress({ ...lease, stage: 'composing', progress: 0.5, etaSeconds: 4.5 })
  const processing = await get(path)
  assert.equal(processing.headers['retry-after'], '5')
  const { status, stage, progress, eta_seconds, attempt } = processing.body
  assert.deepEqual(
    { status, stage, progress, eta_seconds, attempt },
    { status: 'processing', stage: 'composing', progress: 0.5, eta_seconds: 4.5, attempt: 1 },
  )
  assert.equal((await get(path, { 'if-none-match': processing.headers.etag! })).status, 304)

  await jobs.succeed({ ...lease, analysis: analysisOf(upload) })
  const succeeded = await get(path, { 'if-none-match': processing.headers.etag! })
  assert.equal(succeeded.status, 200)
  assert.equal(succeeded.headers['retry-after'], undefined)
  assert.equal(succeeded.body.status, 'succeeded')
  assert.deepEqual(succeeded.body.styles[0], { name: 'Impressionism', score: 0.5 })
  assert.equal((await get(path, { 'if-none-match': succeeded.headers.etag! })).status, 304)
})

test('/info names the models with which the newest result was made', async () => {
  const upload = uploadOf('uploads/info.jpg', { bucket })
  const id = await jobs.receive(upload)
  await jobs.claim(id, { token: 'a', leaseSeconds })
  const models = { musicModel: 'musicgen-of-today', musicModelRevision: 'r9' }
  await jobs.succeed({ id, token: 'a', analysis: { ...analysisOf(upload), ...models } })
  const { status, body } = await get('/info')
  assert.equal(status, 200)
  assert.deepEqual(body.models.music, { name: 'musicgen-of-today', revision: 'r9' })
  assert.deepEqual(body.models.classifier, { name: 'tiny-random-clip', revision: 'r2' })
})

test('a failed and a canceled picture say why', async () => {
  for (const [state, code] of [
    ['failed', 'IMAGE_EMPTY'],
    ['canceled', 'CANCELED'],
  ] as const) {
    const key = `uploads/${state}.jpg`
    const id = await jobs.receive(uploadOf(key, { bucket }))
    await jobs.claim(id, { token: 'a', leaseSeconds })
    await jobs.fail({ id, token: 'a', code, message: 'so it is', retryable: false })
    await database.run((db) => db.update(jobsTable).set({ state }).where(eq(jobsTable.id, id)))
    const { body, headers } = await get(`/v1/results/${key}`)
    assert.equal(body.status, state)
    assert.deepEqual(body.error, { code, message: 'so it is', retryable: false })
    assert.equal(headers['retry-after'], undefined)
  }
})

test('every key is found raw, as far as HTTP can carry it, and percent-encoded', async () => {
  const keys = [
    'uploads/plain.jpg',
    'uploads/with space & more;x=y.jpg',
    'uploads/1+1=2.jpg',
    'uploads/100%.jpg',
    'uploads/%2F.jpg',
    'uploads/%252F.jpg',
    'uploads/q?a=b#c.jpg',
    'uploads//double//slash/',
    'uploads/한국어/그림 😀.jpg',
    `uploads/${'한'.repeat(338)}ab`,
    `uploads/${'😀'.repeat(254)}`,
  ]
  for (const key of keys) await jobs.receive(uploadOf(key, { bucket }))
  for (const key of keys) {
    const bySegment = key.split('/').map(encodeURIComponent).join('/')
    for (const written of [encodeURIComponent(key), bySegment]) {
      const { status, body } = await get(`/v1/results/${written}`)
      assert.equal(status, 200, written)
      assert.equal(body.key, key)
    }
    if (/^[\x21-\x7e]+$/.test(key) && !/[%?#]/.test(key)) {
      assert.equal((await get(`/v1/results/${key}`)).body.key, key)
    }
  }
})

test('a database that hangs is 503 to the caller, and the next call after it is back is answered', async () => {
  const key = 'uploads/outage.jpg'
  await jobs.receive(uploadOf(key, { bucket }))
  assert.equal((await get('/readyz')).status, 200)
  await sleep(readinessKeptMs)
  proxy.hold()
  const [result, ready] = await Promise.all([get(`/v1/results/${key}`), get('/readyz')])
  for (const { status, headers, body } of [result, ready]) {
    assert.equal(status, 503)
    assert.equal(headers['content-type'], 'application/problem+json')
    assert.equal(headers['retry-after'], '5')
    assert.equal(body.code, 'DATABASE_UNAVAILABLE')
  }
  proxy.pass()
  assert.equal((await get(`/v1/results/${key}`)).status, 200)
  await sleep(readinessKeptMs)
  assert.equal((await get('/readyz')).status, 200)
})

for (const [name, sent, status] of [
  ['what is not HTTP', 'HELO\r\n\r\n', 400],
  ['a method that there is not', 'GIMME /healthz HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['a tunnel', 'CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['headers that are too long', `GET /healthz HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
] as const) {
  test(`${name} is a problem too: ${status}`, async () => {
    const socket = connect({ host: '127.0.0.1', port })
    socket.write(sent)
    const [head, body] = (await text(socket)).split('\r\n\r\n')
    assert.match(head!, new RegExp(`^HTTP/1.1 ${status} .*\r\ncontent-type: application/problem\\+json`, 's'))
    const problem = JSON.parse(body!)
    assert.deepEqual(Value.Errors(Problem, problem), [])
    assert.deepEqual([problem.status, problem.code], [status, 'INVALID_REQUEST'])
  })
}

test('npm run api listens, says where, answers, and ends in order when told to', async () => {
  const api = run({ ...stack.env, AUTH: 'none', HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info' })
  try {
    let address: string | undefined
    for await (const line of createInterface({ input: api.stdout })) {
      address = /^listening on (http:\S+)$/.exec(JSON.parse(line).msg)?.[1]
      if (address) break
    }
    assert.ok(address)
    assert.equal((await fetch(`${address}/readyz`)).status, 200)
    api.kill('SIGTERM')
    assert.deepEqual(await once(api, 'exit'), [0, null])
  } finally {
    api.kill('SIGKILL')
  }
})

test('npm run api refuses to be open unless told so in as many words, and tells its options', async () => {
  for (const [environment, options, code, said] of [
    [{ ...stack.env }, [], 2, /API_KEYS is missing/],
    [{ ...stack.env, API_KEYS: 'a-key-of-the-app,,x' }, [], 2, /API_KEYS: key 2 is empty/],
    [{}, [], 2, /BUCKET is missing/],
    [{ ...stack.env, AUTH: 'none', WEBHOOKS: '[{}]' }, [], 2, /WEBHOOKS\/0 must have required properties url/],
    [{}, ['--help'], 0, /Usage: npm run api/],
    [{}, ['--port'], 2, /unknown option/],
    [{ ...stack.env, AUTH: 'none', HOST: '127.0.0.1', PORT: String(port) }, [], 1, /EADDRINUSE/],
  ] as const) {
    const api = run(environment, [...options])
    let output = ''
    api.stdout.on('data', (text) => (output += text))
    api.stderr.on('data', (text) => (output += text))
    const [exitCode] = await once(api, 'close')
    assert.equal(exitCode, code, output)
    assert.match(output, said)
    assert.doesNotMatch(output, /\n {4}at /)
  }
})

function run(environment: Record<string, string>, options: string[] = []) {
  const { PATH } = process.env
  return spawn(process.execPath, ['services/api/main.ts', ...options], {
    env: { PATH, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  })
}

/** The path goes out as it is: fetch would put it in order. */
async function get(path: string, headers: Record<string, string> = {}) {
  const call = request({ host: '127.0.0.1', port, path, headers })
  call.end()
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  const text = Buffer.concat(await response.toArray()).toString()
  const body = text ? JSON.parse(text) : undefined
  if (response.statusCode === 200 && path.startsWith('/v1/')) assert.deepEqual(Value.Errors(Result, body), [])
  return { status: response.statusCode, headers: response.headers, body }
}
