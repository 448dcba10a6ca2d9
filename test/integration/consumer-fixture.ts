import { after, before } from 'node:test'
import { ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import {
  DeleteMessageCommand,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import { eq } from 'drizzle-orm'
import { type Logger, pino } from 'pino'
import { createSqsClient } from '#shared/aws/clients.ts'
import { createQueue } from '#shared/aws/queue.ts'
import { readConfig } from '#shared/config.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { createResults, type FoundJob, type Results } from '#shared/db/results.ts'
import { artAnalysis, jobs as jobsTable } from '#shared/db/schema.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'
import { until } from '../until.ts'

// Each file of tests that imports this has a stack of its own.
const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }

export let stack: Stack
export let sqs: SQSClient
let database: Database
let jobs: Jobs
export let results: Results

before(async () => {
  stack = await startStack()
  sqs = createSqsClient({ region: stack.env.AWS_REGION!, endpoint: stack.env.AWS_ENDPOINT_URL, credentials })
  database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  jobs = createJobs({ database })
  results = createResults({ database, bucket: stack.env.BUCKET! })
})

after(async () => {
  await database?.close()
  sqs?.destroy()
  await stack?.close()
})

interface ConsumerOptions {
  inference?: Partial<Inference>
  settings?: Record<string, string>
  random?: () => number
  jobs?: Jobs
  logger?: Logger
}

export function startConsumer({ inference, settings, random, ...own }: ConsumerOptions) {
  const consumer = createConsumer({
    config: readConfig(consumerSettings, { ...stack.env, MUSIC_SECONDS: '0.1', GRACE_SECONDS: '2', ...settings }),
    credentials,
    jobs,
    inference: { ...createStubInference(), ...inference },
    words: promptWords,
    logger: pino({ enabled: false }),
    ...own,
    ...(random && { random }),
  })
  consumer.start()
  return consumer
}

export async function withConsumer(options: ConsumerOptions, use: () => Promise<void>): Promise<void> {
  const consumer = startConsumer(options)
  try {
    await use()
    await drained()
  } finally {
    await consumer.stop()
  }
}

export async function upload(key: string, body: Buffer) {
  return stack.s3.send(new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: key, Body: body }))
}

export async function send(body: string): Promise<void> {
  await sqs.send(new SendMessageCommand({ QueueUrl: stack.env.QUEUE_URL, MessageBody: body }))
}

export async function acknowledge(receiptHandle: string): Promise<void> {
  await sqs.send(new DeleteMessageCommand({ QueueUrl: stack.env.QUEUE_URL, ReceiptHandle: receiptHandle }))
}

/** Moves the one message there, as so many copies: what SQS and its console keep of it is the body and the attributes. */
export async function redrive(from: string, to: string, copies: number): Promise<void> {
  const receive = new ReceiveMessageCommand({ QueueUrl: from, MessageAttributeNames: ['All'], WaitTimeSeconds: 5 })
  const { Messages: [message] = [] } = await sqs.send(receive)
  const { Body: MessageBody, MessageAttributes, ReceiptHandle } = message!
  for (let i = 0; i < copies; i++) {
    await sqs.send(new SendMessageCommand({ QueueUrl: to, MessageBody, MessageAttributes }))
  }
  await sqs.send(new DeleteMessageCommand({ QueueUrl: from, ReceiptHandle }))
}

export async function finished(key: string): Promise<FoundJob> {
  return until(async () => {
    const found = await results.find({ key })
    return found && ['succeeded', 'failed'].includes(found.job.state) ? found : undefined
  })
}

/** Resolves when the queue is empty, messages in work included. */
export async function drained(): Promise<void> {
  await until(async () => {
    const { visible, inFlight } = await depth()
    return visible + inFlight === 0
  })
}

export async function depth() {
  const { QUEUE_URL: queueUrl, DLQ_URL: dlqUrl } = stack.env
  return createQueue({ sqs, queueUrl: queueUrl!, dlqUrl: dlqUrl! }).depth()
}

/** Takes all dead letters; the attributes of each. */
export async function deadLetters(): Promise<Record<string, string | undefined>[]> {
  const letters: Record<string, string | undefined>[] = []
  for (;;) {
    const { Messages: messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: stack.env.DLQ_URL,
        MaxNumberOfMessages: 10,
        MessageAttributeNames: ['All'],
      }),
    )
    if (!messages.length) return letters
    for (const { MessageAttributes: attributes, ReceiptHandle } of messages) {
      letters.push(valuesOf(attributes ?? {}))
      await sqs.send(new DeleteMessageCommand({ QueueUrl: stack.env.DLQ_URL, ReceiptHandle }))
    }
  }
}

function valuesOf(attributes: Record<string, MessageAttributeValue>): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(attributes).map(([name, { StringValue }]) => [name, StringValue]))
}

export async function music(prefix: string) {
  const { Contents = [] } = await stack.s3.send(new ListObjectsV2Command({ Bucket: stack.env.BUCKET, Prefix: prefix }))
  return Contents
}

export async function countRows(key: string): Promise<number> {
  const rows = await database.run((db) =>
    db
      .select({ id: artAnalysis.id })
      .from(artAnalysis)
      .innerJoin(jobsTable, eq(jobsTable.id, artAnalysis.jobId))
      .where(eq(jobsTable.imageKey, key)),
  )
  return rows.length
}
