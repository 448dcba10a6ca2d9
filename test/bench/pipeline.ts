import { EventEmitter, once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { SendMessageCommand } from '@aws-sdk/client-sqs'
import { Consumer } from 'sqs-consumer'
import { type AwsLocation, createS3Client, createSqsClient, createSqsReceiveClient } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { type Config, readConfig } from '#shared/config.ts'
import { openDatabase } from '#shared/db/client.ts'
import { databaseAddress, databaseSettings } from '#shared/db/connection.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { createOrders } from '#shared/db/orders.ts'
import { createResults } from '#shared/db/results.ts'
import { createLogger } from '#shared/logger.ts'
import { createApp } from '../../services/api/app.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { startStack } from '../../services/local/stack.ts'
import { apiOptions } from '../api-options.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'

/** A result may take so long; the benchmark fails after. */
const patienceMs = 60_000
const pollMs = 2
const warmUps = 5

/**
 * What the pipeline itself costs: everything is real but inference, which answers at once. Emulator, consumer, API and
 * this client share one process, so every millisecond of theirs counts as ours; the database has a process of its own.
 * Each measurement has a stack of its own: the emulator still hands messages to polls that were cut off before.
 */
export async function benchPipeline({ pictures }: { pictures: number }) {
  const bodies = await drawPictures(pictures + warmUps)
  const latencies = (await withPipeline((pipeline) => measureLatency(pipeline, bodies))).slice(warmUps)
  const ours = await withPipeline((pipeline) => measureThroughput(pipeline, bodies.slice(0, pictures)))
  const bare = await withPipeline((pipeline) => measureBareLoop(pipeline, pictures))
  return {
    pictures,
    put_to_result_ms: { median: quantile(latencies, 0.5), p95: quantile(latencies, 0.95), max: quantile(latencies, 1) },
    pipeline_messages_per_second: ours,
    bare_sqs_consumer_messages_per_second: bare,
    ratio: ours / bare,
  }
}

interface Pipeline {
  location: AwsLocation
  config: Config<(typeof consumerSettings)[number]>
  s3: S3Client
  /** Of the API. */
  origin: string
  consumer: ReturnType<typeof createConsumer>
}

async function withPipeline<T>(measure: (pipeline: Pipeline) => Promise<T>): Promise<T> {
  const stack = await startStack()
  const logger = createLogger({ level: 'error', service: 'bench' })
  const config = readConfig([...consumerSettings, ...databaseSettings], { ...stack.env, BATCH_SIZE: '4' })
  const credentials = {
    accessKeyId: stack.env.AWS_ACCESS_KEY_ID!,
    secretAccessKey: stack.env.AWS_SECRET_ACCESS_KEY!,
  }
  const location = { region: config.AWS_REGION, endpoint: config.AWS_ENDPOINT_URL, credentials }
  const bucket = config.BUCKET
  const database = openDatabase(await databaseAddress(config))
  const jobs = createJobs({ database })
  const s3 = createS3Client(location)
  const objects = createObjectStore({ s3, bucket })
  const app = await createApp(
    apiOptions({
      results: createResults({ database, bucket }),
      orders: createOrders({ database, bucket }),
      objects,
      database,
      bucket,
      region: config.AWS_REGION,
      endpoint: location.endpoint,
      logger,
    }),
  )
  const origin = await app.listen({ host: '127.0.0.1', port: 0 })
  const inference = freeInference()
  const consumer = createConsumer({ config, credentials, jobs, inference, words: promptWords, logger })
  try {
    return await measure({ location, config, s3, origin, consumer })
  } finally {
    await consumer.stop()
    await app.close()
    await database.close()
    s3.destroy()
    await stack.close()
  }
}

/** Milliseconds from the start of each PUT until the API has the finished result, one picture after another. */
async function measureLatency({ s3, config, origin, consumer }: Pipeline, bodies: Buffer[]): Promise<number[]> {
  consumer.start()
  const latencies: number[] = []
  for (const [index, body] of bodies.entries()) {
    const key = `uploads/${index}.jpg`
    const startedAt = performance.now()
    await s3.send(new PutObjectCommand({ Bucket: config.BUCKET, Key: key, Body: body }))
    await untilSucceeded(origin, key)
    latencies.push(performance.now() - startedAt)
  }
  return latencies
}

/** Messages per second from a full queue. */
async function measureThroughput({ s3, config, origin, consumer }: Pipeline, bodies: Buffer[]): Promise<number> {
  const keys = bodies.map((_, index) => `uploads/${index}.jpg`)
  for (const [index, body] of bodies.entries()) {
    await s3.send(new PutObjectCommand({ Bucket: config.BUCKET, Key: keys[index]!, Body: body }))
  }
  const startedAt = performance.now()
  consumer.start()
  for (const key of keys) await untilSucceeded(origin, key)
  return bodies.length / ((performance.now() - startedAt) / 1000)
}

/** The same number of pollers on the same emulator, with a handler that does nothing. */
async function measureBareLoop({ location, config }: Pipeline, messages: number): Promise<number> {
  const { QUEUE_URL: queueUrl, BATCH_SIZE: pollers } = config
  const sqs = createSqsClient(location)
  const receive = createSqsReceiveClient(location)
  for (let index = 0; index < messages; index++) {
    await sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: `{"index":${index}}` }))
  }
  const finished = new EventEmitter()
  const all = once(finished, 'all', { signal: AbortSignal.timeout(patienceMs) })
  let processed = 0
  const consumers = Array.from({ length: pollers }, () =>
    Consumer.create({ sqs: receive, queueUrl, batchSize: 1, handleMessage: async (message) => message })
      .on('message_processed', () => ++processed === messages && finished.emit('all'))
      .on('error', (error) => processed < messages && finished.emit('error', error)),
  )
  const startedAt = performance.now()
  for (const consumer of consumers) consumer.start()
  try {
    await all
    return messages / ((performance.now() - startedAt) / 1000)
  } finally {
    for (const consumer of consumers) consumer.stop({ abort: true })
    sqs.destroy()
    receive.destroy()
  }
}

async function untilSucceeded(origin: string, key: string): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (performance.now() < deadline) {
    const response = await fetch(`${origin}/v1/results/${key}`)
    const result = (await response.json()) as { status: string }
    if (result.status === 'succeeded') return
    if (result.status !== 'queued' && result.status !== 'processing') {
      throw new Error(`${key}: expected success, found ${JSON.stringify(result)}`)
    }
    await sleep(pollMs)
  }
  throw new Error(`${key} was not finished within ${patienceMs} ms`)
}

/** Pictures for a model of CLIP's input size; answers at once with the same labels and the same ten seconds. */
function freeInference(): Inference {
  const stub = createStubInference()
  const { classifier } = stub.classifierManifest
  const [graph] = classifier.graphs
  const image = { ...graph!.image, resize: 224, crop: 224, resample: 'bicubic' as const }
  const clip = [new Float32Array(320_000).fill(0.25)]
  return {
    ...stub,
    classifierManifest: { ...stub.classifierManifest, classifier: { ...classifier, graphs: [{ ...graph!, image }] } },
    compose: async () => clip,
  }
}

function drawPictures(count: number): Promise<Buffer[]> {
  return Promise.all(
    Array.from({ length: count }, (_, seed) => drawPicture(seed, { width: 1024, height: 768 }).jpeg().toBuffer()),
  )
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!
}
