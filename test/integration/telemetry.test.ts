import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs'
import { createSqsClient } from '#shared/aws/clients.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createConsumers } from '#shared/db/consumers.ts'
import { createResults, type Results } from '#shared/db/results.ts'
import { type Service, startConsumer } from '../../services/local/processes.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { readAttribute, startOtlpCollector } from '../otlp-collector.ts'
import { drawPicture } from '../picture.ts'
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts'
import { buildTinyModels } from '../tiny-models.ts'
import { until } from '../until.ts'

// One consumer as it is deployed, seen only through its port, its log and what it sends. The tests follow one another.

const entry = fileURLToPath(new URL('../../services/consumer/main.ts', import.meta.url))
const patienceMs = 60_000
const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const spanId = '00f067aa0ba902b7'
const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }

let stack: Stack
let sqs: SQSClient
let database: Database
let results: Results
let proxy: TcpProxy
let collector: Awaited<ReturnType<typeof startOtlpCollector>>
let folder: string
let modelDir: string
let consumer: Service

before(async () => {
  stack = await startStack()
  sqs = createSqsClient({ region: stack.env.AWS_REGION!, endpoint: stack.env.AWS_ENDPOINT_URL, credentials })
  database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  results = createResults({ database, bucket: stack.env.BUCKET! })
  const url = new URL(stack.env.DATABASE_URL!)
  proxy = await startTcpProxy(Number(url.port))
  url.port = String(proxy.port)
  collector = await startOtlpCollector()
  folder = await mkdtemp(join(tmpdir(), 'promenade-telemetry-'))
  modelDir = await buildTinyModels()
  consumer = await startConsumer({
    env: {
      ...stack.env,
      DATABASE_URL: url.href,
      MODEL_DIR: modelDir,
      MUSIC_SECONDS: '0.1',
      LEASE_SECONDS: '20',
      HOST: '127.0.0.1',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    },
    logDir: folder,
    graceMilliseconds: 8000,
  })
})

after(async () => {
  await consumer.close()
  await collector.close()
  await proxy.close()
  await database.close()
  sqs.destroy()
  await stack.close()
  for (const each of [folder, modelDir]) await rm(each, { recursive: true })
})

test('what was uploaded is counted as what became of it', async () => {
  assert.equal((await get('/healthz')).status, 200)
  await until(async () => (await get('/readyz')).status === 200)
  await upload('uploads/traced.jpg', await picture(1), { traceparent: `00-${traceId}-${spanId}-01` })
  for (const seed of [2, 3]) await upload(`uploads/${seed}.jpg`, await picture(seed))
  await upload('uploads/empty.jpg', Buffer.alloc(0))
  await sqs.send(new SendMessageCommand({ QueueUrl: stack.env.QUEUE_URL, MessageBody: 'hello' }))
  for (const key of ['uploads/traced.jpg', 'uploads/2.jpg', 'uploads/3.jpg']) await reaches(key, 'succeeded')
  await reaches('uploads/empty.jpg', 'failed')
  const expected = {
    promenade_messages_received_total: 5,
    promenade_received_message_age_seconds_count: 5,
    promenade_jobs_succeeded_total: 3,
    'promenade_jobs_failed_total{code="IMAGE_EMPTY"}': 1,
    'promenade_messages_refused_total{code="MESSAGE_UNREADABLE"}': 1,
    'promenade_stage_duration_seconds_count{stage="generate"}': 3,
    'promenade_stage_duration_seconds_count{stage="total"}': 3,
    promenade_batch_size_sum: 3,
    promenade_leases_lost_total: 0,
    promenade_messages_in_work: 0,
    'promenade_queue_messages{queue="uploads",state="visible"}': 0,
    'promenade_queue_messages{queue="uploads",state="in_flight"}': 0,
    'promenade_queue_messages{queue="dead_letters",state="visible"}': 2,
  }
  await until(async () => {
    const found = await samples()
    return Object.entries(expected).every(([name, value]) => found.get(name) === value)
  })
  const found = await samples()
  assert.ok(found.get('promenade_real_time_factor_count')! >= 1)
  assert.ok(found.get('nodejs_eventloop_lag_p99_seconds')! > 0)
  const [build] = Array.from(found.keys()).filter((name) => name.startsWith('promenade_build_info'))
  assert.match(build!, /music_model="tiny-random-musicgen".*execution_providers="cpu"/)
})

test('a lost inference process is a try to be repeated and a restart', async () => {
  const inference = Number((await readFile(consumer.logFile, 'utf8')).match(/"pid":\d+,"pid":(\d+)/)?.[1])
  process.kill(inference, 'SIGSTOP')
  await upload('uploads/unlucky.jpg', await picture(4))
  await until(async () => (await job('uploads/unlucky.jpg'))?.stage === 'classifying')
  process.kill(inference, 'SIGKILL')
  await until(async () => (await sumOf('promenade_jobs_retried_total')) === 1)
  assert.equal((await samples()).get('promenade_inference_restarts_total'), 1)
  await until(async () => (await get('/readyz')).status === 200)
  await reaches('uploads/unlucky.jpg', 'succeeded')
})

test('while the database is away it says so and lives, and afterwards goes on without a restart', async () => {
  proxy.hold()
  await upload('uploads/patient.jpg', await picture(5))
  const { outages } = await until(async () => {
    const { status, body } = await get('/readyz')
    const told = JSON.parse(body)
    return status === 503 && told.outages.length > 0 && told
  })
  const [{ code, since }] = outages
  assert.equal(code, 'DATABASE_UNAVAILABLE')
  assert.ok(Date.parse(since) <= Date.now() && Date.parse(since) > Date.now() - patienceMs)
  assert.equal((await get('/healthz')).status, 200)
  const away = await samples()
  assert.equal(away.get('promenade_outage{code="DATABASE_UNAVAILABLE"}'), 1)
  assert.ok(away.get('promenade_jobs_retried_total{code="DATABASE_UNAVAILABLE"}')! >= 1)
  proxy.pass()
  await until(async () => (await get('/readyz')).status === 200)
  const back = await samples()
  assert.equal(back.get('promenade_outage{code="DATABASE_UNAVAILABLE"}'), 0)
  assert.equal(back.get('process_start_time_seconds'), away.get('process_start_time_seconds'))
  await reaches('uploads/patient.jpg', 'succeeded')
})

test('operators hear the same: clips, how fast they were made, and how old the last message was', async () => {
  const { list } = createConsumers({ database })
  const [seen, ...others] = await until(async () => {
    const found = await list()
    return found[0]?.clips === (await samples()).get('promenade_batch_size_sum') && found
  })
  assert.deepEqual(others, [])
  assert.ok(seen!.realTimeFactor! > 0)
  assert.ok(seen!.receivedAgeSeconds! >= 0)
  assert.equal(seen!.alive, true)
})

test('at the end the port is closed and the traces are sent', async () => {
  const ids = new Map<string, string>()
  for (const key of ['uploads/2.jpg', 'uploads/empty.jpg']) ids.set(key, (await job(key))!.id)
  await consumer.close()
  await assert.rejects(get('/healthz'))
  const spans = collector
    .spans()
    .map((span) => ({ ...span, attributes: Object.fromEntries(span.attributes.map(readAttribute)) }))
  const of = (key: string) => spans.filter(({ attributes }) => attributes['promenade.image_key'] === key)

  const stages = ['queue', 'claim', 'fetch', 'classify', 'generate', 'store', 'record', 'process picture']
  const whole = of('uploads/2.jpg')
  assert.deepEqual(whole.map(({ name }) => name).toSorted(), stages.toSorted())
  for (const span of whole) assert.equal(span.traceId, ids.get('uploads/2.jpg'))

  const traced = of('uploads/traced.jpg')
  assert.deepEqual(new Set(traced.map((span) => span.traceId)), new Set([traceId]))
  assert.equal(traced.find(({ name }) => name === 'process picture')!.parentSpanId, spanId)

  const failed = of('uploads/empty.jpg').find(({ name }) => name === 'process picture')!
  assert.deepEqual([failed.status.message, failed.attributes['error.type']], ['IMAGE_EMPTY', 'IMAGE_EMPTY'])
  assert.equal(failed.attributes['promenade.job_id'], ids.get('uploads/empty.jpg'))
})

test('a collector that never answers does not keep the consumer from ending in time', async () => {
  const hanging = await startOtlpCollector({ hangs: true })
  const settings = {
    METRICS_PORT: '0',
    HOST: '127.0.0.1',
    GRACE_SECONDS: '2',
    MUSIC_SECONDS: '0.1',
    MODEL_DIR: modelDir,
  }
  const child = spawn(process.execPath, [entry], {
    env: { ...stack.env, ...settings, OTEL_EXPORTER_OTLP_ENDPOINT: hanging.url },
    stdio: 'ignore',
  })
  const ended = once(child, 'exit')
  await upload('uploads/last.jpg', await picture(6))
  await reaches('uploads/last.jpg', 'succeeded')
  child.kill('SIGTERM')
  assert.deepEqual(await ended, [0, null])
  assert.ok(hanging.spans().length > 0)
  await hanging.close()
})

async function get(path: string): Promise<{ status: number; body: string }> {
  const response = await fetch(`${consumer.ready[1]}${path}`)
  return { status: response.status, body: await response.text() }
}

/** Each line of the scrape that has a value, by name and labels. */
async function samples(): Promise<Map<string, number>> {
  const { body } = await get('/metrics')
  const lines = body.split('\n').filter((line) => line && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}

async function sumOf(name: string): Promise<number> {
  return Array.from(await samples()).reduce((sum, [each, value]) => sum + (each.startsWith(`${name}{`) ? value : 0), 0)
}

function picture(seed: number): Promise<Buffer> {
  return drawPicture(seed).jpeg().toBuffer()
}

async function upload(key: string, body: Buffer, metadata: Record<string, string> = {}): Promise<void> {
  await stack.s3.send(new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: key, Body: body, Metadata: metadata }))
}

async function job(key: string) {
  return (await results.find({ key }))?.job
}

async function reaches(key: string, state: string): Promise<void> {
  await until(async () => (await job(key))?.state === state)
}
