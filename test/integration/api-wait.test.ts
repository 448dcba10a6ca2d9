import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { jobId } from '#shared/contract/key.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { createResults, type Results } from '#shared/db/results.ts'
import { jobs as jobsTable } from '#shared/db/schema.ts'
import { createApp } from '../../services/api/app.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { apiOptions } from '../api-options.ts'
import { analysisOf, uploadOf } from '../job.ts'
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts'
import { until } from '../until.ts'

const leaseSeconds = 60
const agent = new Agent({ maxSockets: 1_000 })

let stack: Stack
let proxy: TcpProxy
let distant: Database
let database: Database
let jobs: Jobs
let results: Results
let bucket: string
let app: Awaited<ReturnType<typeof start>>

before(async () => {
  stack = await startStack()
  const url = new URL(stack.env.DATABASE_URL!)
  database = openDatabase({ url: url.href, tls: 'off' })
  proxy = await startTcpProxy(Number(url.port))
  url.port = String(proxy.port)
  distant = openDatabase({ url: url.href, tls: 'off', timeoutSeconds: 0.5 })
  bucket = stack.env.BUCKET!
  jobs = createJobs({ database })
  results = createResults({ database: distant, bucket })
  app = await start()
})

after(async () => {
  agent.destroy()
  await app?.close()
  await distant?.close()
  await database?.close()
  await proxy?.close()
  await stack?.close()
})

test('500 who wait, for one job and for many, cost two queries a second at most', async () => {
  const keys = Array.from({ length: 50 }, (_, n) => `uploads/many/${n}.jpg`)
  const held = await Promise.all(keys.map((key) => hold(key)))
  const began = performance.now()
  app.asked.count = 0
  const waiting = Array.from({ length: 500 }, (_, n) => get(`/v1/results/${keys[n % 50]}?wait=60`))
  await sleep(2_000)
  for (const { finish } of held.slice(1)) await finish()
  await sleep(1_000)
  await held[0]!.finish()
  const answers = await Promise.all(waiting)
  assert.ok(answers.every(({ status, body }) => status === 200 && JSON.parse(body).status === 'succeeded'))
  const seconds = (performance.now() - began) / 1000
  assert.ok(app.asked.count <= 21 + 2 * seconds, `${app.asked.count} queries in ${seconds} s`)
})

test('versions and takes of a key are told apart, by version and without', async () => {
  const key = 'uploads/versions.jpg'
  const subject = (version: string | undefined, take = 0) => ({ key, version, take })
  await jobs.receive(uploadOf(key, { bucket, version: 'v2', sequencer: '02' }))
  await jobs.receive(uploadOf(key, { bucket, version: 'v1', sequencer: '01' }))
  await insertTake({ key, version: 'v1', take: 1 })
  const asked = [subject(undefined), subject('v1'), subject(undefined, 1), subject('v1', 1), subject('v3')]
  const paths = asked.map(({ version, take }) => `?take=${take}&wait=1${version ? `&version=${version}` : ''}`)
  const answers = await Promise.all(paths.map((path) => get(`/v1/results/${key}${path}`)))
  assert.deepEqual(
    answers.map(({ status, body }) => [status, JSON.parse(body).version, JSON.parse(body).take]),
    [
      [200, 'v2', 0],
      [200, 'v1', 0],
      [200, 'v1', 1],
      [200, 'v1', 1],
      [404, undefined, undefined],
    ],
  )
})

test('a picture is waited for from its upload on, by POST /analyze too', async () => {
  const key = 'uploads/그림 1+1.jpg'
  const path = `/v1/results/${encodeURIComponent(key)}`
  const analyze = () => {
    const image_url = `${stack.env.AWS_ENDPOINT_URL}/${bucket}/${encodeURIComponent(key)}`
    return get('/analyze', { method: 'POST', body: JSON.stringify({ image_url }) })
  }
  assert.equal((await get(`${path}?wait=60`)).status, 404)
  assert.equal((await analyze()).status, 404)
  const { ETag: etag } = await stack.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: 'picture' }))
  const waiting = [get(`${path}?wait=60`), analyze()]
  await looked()
  const { finish } = await hold(key, etag!.replaceAll('"', ''))
  await looked()
  await finish()
  const [result, analysis] = await Promise.all(waiting)
  assert.equal(JSON.parse(result!.body).status, 'succeeded')
  assert.equal(JSON.parse(analysis!.body).genre, 'landscape')
})

test('a stream tells of every change, and goes on where another ended', async () => {
  const key = 'uploads/stream.jpg'
  const { progress, finish } = await hold(key)
  const first = await open(`/v1/results/${key}`, { accept: 'text/event-stream' })
  await told(first, /"stage":"fetching"/)
  await progress(0.5)
  const seen = await told(first, /"progress":0.5/)
  first.destroy()
  const id = [...seen.matchAll(/^id: (.+)$/gm)].at(-1)![1]!
  const second = await open(`/v1/results/${key}`, { accept: 'text/event-stream', 'last-event-id': id })
  await looked()
  await finish()
  const rest = await text(second)
  assert.doesNotMatch(rest, /"progress":0.5/)
  assert.match(rest, /^event: end\ndata: .*"status":"succeeded"/m)
})

test('when all clients have gone away nothing is asked any more', async () => {
  const { finish } = await hold('uploads/gone.jpg')
  const stream = await open('/v1/results/uploads/gone.jpg', { accept: 'text/event-stream' })
  const poll = request({ ...app.address, agent, path: '/v1/results/uploads/gone.jpg?wait=60' }).end()
  poll.on('error', () => {})
  const image_url = `${stack.env.AWS_ENDPOINT_URL}/${bucket}/uploads/gone.jpg`
  const headers = { 'content-type': 'application/json' }
  const call = request({ ...app.address, agent, method: 'POST', path: '/analyze', headers })
  call.on('error', () => {})
  call.end(JSON.stringify({ image_url }))
  await looked(2)
  for (const each of [stream, poll, call]) each.destroy()
  await sleep(500)
  const asked = app.asked.count
  await sleep(1_500)
  assert.equal(app.asked.count, asked)
  await finish()
})

test('a database that is away for a while does not end the waiting', async () => {
  const key = 'uploads/outage.jpg'
  const { finish } = await hold(key)
  const waiting = get(`/v1/results/${key}?wait=60`)
  await looked()
  proxy.hold()
  await sleep(1_500)
  await finish()
  proxy.pass()
  assert.equal(JSON.parse((await waiting).body).status, 'succeeded')
})

test('closing answers all who wait as it stands, ends the streams, and takes no longer than that', async () => {
  const key = 'uploads/close.jpg'
  await hold(key)
  const other = await start()
  const polls = Array.from({ length: 20 }, () => get(`/v1/results/${key}?wait=60`, {}, other))
  const streams = await Promise.all(
    Array.from({ length: 5 }, () => open(`/v1/results/${key}`, { accept: 'text/event-stream' }, other)),
  )
  await Promise.all(streams.map((stream) => told(stream, /"stage"/)))
  const ends = streams.map((stream) => once(stream, 'end'))
  await other.close()
  await Promise.all(ends)
  for (const { status, body, headers } of await Promise.all(polls)) {
    assert.deepEqual([status, JSON.parse(body).status, headers.connection], [200, 'processing', 'close'])
    assert.ok(headers['retry-after'])
  }
})

/** An API of its own, and how many queries it makes. */
async function start() {
  const asked = { count: 0 }
  const counted = <A extends unknown[], R>(run: (...given: A) => R) => {
    return (...given: A) => {
      asked.count++
      return run(...given)
    }
  }
  const { standings, findAll } = results
  const app = await createApp(
    apiOptions({
      results: { ...results, standings: counted(standings), findAll: counted(findAll) },
      objects: createObjectStore({ s3: stack.s3, bucket }),
      database: distant,
      bucket,
      endpoint: stack.env.AWS_ENDPOINT_URL,
    }),
  )
  const { hostname: host, port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  return { close: () => app.close(), asked, address: { host, port } }
}

/** A job in work. */
async function hold(key: string, version = 'e1') {
  const upload = uploadOf(key, { bucket, version, etag: version })
  const lease = { id: await jobs.receive(upload), token: 'a' }
  await jobs.claim(lease.id, { token: 'a', leaseSeconds })
  await jobs.progress({ ...lease, stage: 'fetching', progress: 0 })
  return {
    progress: (progress: number) => jobs.progress({ ...lease, stage: 'composing', progress, etaSeconds: 30 }),
    finish: () => jobs.succeed({ ...lease, analysis: analysisOf(upload) }),
  }
}

/** The watcher has looked at least so often since. */
async function looked(times = 1): Promise<void> {
  const asked = app.asked.count + times
  await until(() => app.asked.count >= asked)
}

async function open(path: string, headers: Record<string, string>, { address } = app): Promise<IncomingMessage> {
  const call = request({ ...address, agent, path, headers }).end()
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  assert.equal(response.statusCode, 200)
  response.on('error', () => {})
  return response
}

/** What a stream has told when it has told this. */
async function told(stream: IncomingMessage, what: RegExp): Promise<string> {
  let heard = ''
  stream.on('data', (piece) => (heard += piece))
  await until(() => what.test(heard))
  return heard
}

async function get(path: string, { method = 'GET', body }: { method?: string; body?: string } = {}, { address } = app) {
  const headers = body === undefined ? {} : { 'content-type': 'application/json' }
  const call = request({ ...address, agent, path, method, headers }).end(body)
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  return { status: response.statusCode, headers: response.headers, body: await text(response) }
}

/** As it is when it has been ordered. */
async function insertTake({ key, version, take }: { key: string; version: string; take: number }): Promise<void> {
  const { job } = (await results.find({ key, version }))!
  const id = jobId({ bucket, key, version }, take)
  await database.run((db) => db.insert(jobsTable).values({ ...job, id, take }))
}
