import { PutObjectCommand } from '@aws-sdk/client-s3'
import { DeleteMessageCommand, ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import { pino } from 'pino'
import { createSqsClient } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { createQueue, createQueueCounter } from '#shared/aws/queue.ts'
import { readConfig } from '#shared/config.ts'
import type { Result } from '#shared/contract/result.ts'
import { openDatabase } from '#shared/db/client.ts'
import { createConsumers } from '#shared/db/consumers.ts'
import { createFiguresReader } from '#shared/db/figures.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { createOrders } from '#shared/db/orders.ts'
import { createResults } from '#shared/db/results.ts'
import { createDeadLetterQueue } from '#shared/dead-letters/dead-letter-queue.ts'
import { type AppOptions, createApp } from '../services/api/app.ts'
import { createOperationsReader } from '../services/api/operations.ts'
import { createConsumer } from '../services/consumer/app.ts'
import type { Inference } from '../services/consumer/pipeline/music-maker.ts'
import { consumerSettings } from '../services/consumer/setting-names.ts'
import { createSignOfLife } from '../services/consumer/telemetry/sign-of-life.ts'
import { startStack } from '../services/local/stack.ts'
import { apiOptions } from './api-options.ts'
import { drawPicture } from './picture.ts'
import { createStubInference, promptWords } from './stub-inference.ts'
import { until } from './until.ts'

export type WholeStack = Awaited<ReturnType<typeof startWholeStack>>

const patienceMs = 20_000
const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }

/** The local stack, the API in this process, and consumers of pictures with models that cost nothing. */
export async function startWholeStack(options: Partial<AppOptions> = {}) {
  const stack = await startStack()
  const { AWS_REGION: region, AWS_ENDPOINT_URL: endpoint, BUCKET: bucket } = stack.env as Record<string, string>
  const { QUEUE_URL: queueUrl, DLQ_URL: dlqUrl, DATABASE_URL: url } = stack.env as Record<string, string>
  const sqs = createSqsClient({ region: region!, endpoint, credentials })
  const queue = createQueue({ sqs, queueUrl: queueUrl!, dlqUrl: dlqUrl! })
  const database = openDatabase({ url: url!, tls: 'off' })
  const jobs = createJobs({ database })
  const results = createResults({ database, bucket: bucket! })
  const orders = createOrders({ database, bucket: bucket! })
  const objects = createObjectStore({ s3: stack.s3, bucket: bucket! })
  let sendingFails = false
  const outgoing: AppOptions['queue'] = {
    async send(body) {
      if (sendingFails) return createQueue({ sqs, queueUrl: `${endpoint}/none`, dlqUrl: dlqUrl! }).send(body)
      return queue.send(body)
    },
  }
  const logger = pino({ enabled: false })
  const consumers = createConsumers({ database })
  const operations = createOperationsReader({
    figures: createFiguresReader({ database }),
    consumers,
    depths: {
      uploads: queue.depth,
      deadLetters: createQueueCounter({ sqs, queueUrl: dlqUrl!, timeoutMs: patienceMs }),
    },
    logger,
  })
  const app = await createApp(
    apiOptions({
      results,
      orders,
      objects,
      queue: outgoing,
      deadLetterQueue: createDeadLetterQueue({ sqs, queueUrl: queueUrl!, dlqUrl: dlqUrl! }),
      database,
      operations,
      bucket: bucket!,
      endpoint,
      ...options,
    }),
  )
  const address = await app.listen({ host: '127.0.0.1', port: 0 })
  const music: { prompt: string; seed: number; seconds: number }[] = []

  /** Where no consumer runs: resolves when the event has come. */
  async function upload(key: string, picture?: Buffer): Promise<void> {
    const { visible } = await queue.depth()
    const body = picture ?? (await drawPicture(1, { width: 64, height: 48 }).jpeg().toBuffer())
    await stack.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))
    await until(async () => (await queue.depth()).visible > visible)
  }

  async function drained(): Promise<void> {
    await until(async () => {
      const { visible, inFlight } = await queue.depth()
      return visible + inFlight === 0
    })
  }

  async function withConsumer(
    { inference, settings }: { inference?: Partial<Inference>; settings?: Record<string, string> },
    use: () => Promise<void>,
  ): Promise<void> {
    const stub: Inference = { ...createStubInference(), ...inference }
    const signOfLife = createSignOfLife({ consumers, logger })
    const config = readConfig(consumerSettings, {
      ...stack.env,
      MUSIC_SECONDS: '0.1',
      GRACE_SECONDS: '2',
      ...settings,
    })
    const consumer = createConsumer({
      config,
      credentials,
      jobs,
      inference: {
        ...stub,
        compose: async (clip, options) => {
          music.push(clip)
          return stub.compose(clip, options)
        },
      },
      words: promptWords,
      observers: [signOfLife.observer],
      logger,
    })
    consumer.start()
    signOfLife.start({
      version: '0.0.0',
      slots: config.BATCH_SIZE,
      inference: { ...stub, executionProviders: () => ['cpu'] },
      health: consumer.health,
    })
    try {
      await use()
    } finally {
      await consumer.stop()
      await signOfLife.stop()
    }
  }

  async function get(key: string) {
    const response = await app.inject(`/v1/results/${encodeURIComponent(key)}`)
    return { status: response.statusCode, headers: response.headers, body: response.json<Result>() }
  }

  return {
    stack,
    /** Of the API. */
    address,
    sqs,
    bucket: bucket!,
    database,
    jobs,
    results,
    orders,
    queue,
    /** All that was composed. */
    music,
    upload,
    drained,
    withConsumer,
    get,

    /** Whether the API's messages get nowhere. */
    failSending(fails: boolean): void {
      sendingFails = fails
    },

    async post(url: string, payload: object, headers: Record<string, string> = {}) {
      const request = {
        method: 'POST',
        body: JSON.stringify(payload),
        headers: { ...headers, 'content-type': 'application/json' },
      }
      const response = await fetch(address + url, request)
      // biome-ignore lint/suspicious/noExplicitAny: of any route
      const body = (await response.json()) as any
      return { status: response.status, headers: Object.fromEntries(response.headers), body }
    },

    /** A picture whose first take has succeeded. */
    async analysed(key: string): Promise<Result> {
      await upload(key)
      await withConsumer({}, drained)
      return (await get(key)).body
    },

    /** Takes all dead letters; the attributes of each. */
    async deadLetters(): Promise<Record<string, string | undefined>[]> {
      const letters: Record<string, string | undefined>[] = []
      for (;;) {
        const receive = new ReceiveMessageCommand({ QueueUrl: dlqUrl, MessageAttributeNames: ['All'] })
        const { Messages: [message] = [] } = await sqs.send(receive)
        if (!message) return letters
        const attributes = Object.entries(message.MessageAttributes ?? {})
        letters.push(Object.fromEntries(attributes.map(([name, { StringValue }]) => [name, StringValue])))
        await sqs.send(new DeleteMessageCommand({ QueueUrl: dlqUrl, ReceiptHandle: message.ReceiptHandle }))
      }
    },

    async close(): Promise<void> {
      await app.close()
      await database.close()
      sqs.destroy()
      await stack.close()
    },
  }
}
