import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import {
  DeleteMessageBatchCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  SQSServiceException,
} from '@aws-sdk/client-sqs'
import { createSqsClient } from '#shared/aws/clients.ts'
import { createQueue } from '#shared/aws/queue.ts'
import { readConfig } from '#shared/config.ts'
import { errorCodes } from '#shared/contract/error-code.ts'
import { readQueueMessage } from '#shared/contract/queue-message.ts'
import { openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { createResults } from '#shared/db/results.ts'
import { createLogger } from '#shared/logger.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { startStack } from '../../services/local/stack.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'
import type { MessageCase, Subject } from './mutate-message.ts'
import type { PictureCase } from './mutate-picture.ts'
import type { Findings } from './outcome.ts'

const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
/** The queue must get shorter within this time. */
const patienceMs = 240_000
const slots = 4

/**
 * Uploads the pictures and sends the messages, all through S3, SQS, a consumer and the database: at the end every picture
 * has succeeded or failed with a code, every refused message lies in the dead-letter queue once with its reason, nothing
 * is on the queue, and every slot of the consumer still makes music. `messages` are made for a good picture.
 */
export async function fuzzStack(
  pictures: PictureCase[],
  messagesAbout: (subject: Subject) => MessageCase[],
  findings: Findings,
): Promise<void> {
  const stack = await startStack()
  const { BUCKET: bucket, QUEUE_URL: queueUrl, DLQ_URL: dlqUrl } = stack.env as Record<string, string>
  const sqs = createSqsClient({ region: stack.env.AWS_REGION!, endpoint: stack.env.AWS_ENDPOINT_URL, credentials })
  const queue = createQueue({ sqs, queueUrl: queueUrl!, dlqUrl: dlqUrl! })
  const database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  const jobs = createJobs({ database })
  const together = createMeeting()
  const stub = createStubInference()
  const consumer = createConsumer({
    config: readConfig(consumerSettings, { ...stack.env, MUSIC_SECONDS: '0.1', BATCH_SIZE: String(slots) }),
    credentials,
    jobs,
    inference: {
      ...stub,
      compose: async (clip, options) => {
        await together.come(options.signal)
        return stub.compose(clip, options)
      },
    },
    words: promptWords,
    logger: createLogger({
      level: 'error',
      service: 'fuzz',
      destination: { write: (line) => void findings.faults.push(`the consumer logs ${line}`) },
    }),
  })
  const upload = async (key: string, body: Buffer) =>
    (await stack.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }))).ETag!.replaceAll('"', '')
  const good = (seed: number) => drawPicture(seed, { width: 32, height: 32 }).jpeg().toBuffer()
  const results = createResults({ database, bucket: bucket! })
  const stateOf = async (key: string) => (await results.find({ key }))?.job

  try {
    const body = await good(0)
    const subject = {
      bucket: bucket!,
      key: 'uploads/good one.jpg',
      etag: await upload('uploads/good one.jpg', body),
      size: body.length,
    }
    const messages: MessageCase[] = []
    consumer.start()
    const startedAt = performance.now()
    for (const { number, bytes } of pictures) await upload(`uploads/mutated/${number}`, bytes)
    for (const message of messagesAbout(subject)) if (await send(message.body)) messages.push(message)
    await drained()

    const letters = await takeDeadLetters()
    const milliseconds = (performance.now() - startedAt) / (pictures.length + messages.length)
    for (const each of pictures) {
      const key = `uploads/mutated/${each.number}`
      const job = await stateOf(key)
      const codes = lettersOf(letters, (letter) => letter.MessageAttributes?.image_key?.StringValue === key)
      const expected = job?.state === 'failed' ? [job.errorCode] : []
      const isSettled = job?.state === 'succeeded' || (job?.state === 'failed' && job.errorRetryable === false)
      const ok = isSettled && JSON.stringify(codes) === JSON.stringify(expected)
      const fault = { fault: `ended as ${JSON.stringify(job)}, with the dead letters ${codes}` }
      findings.add(
        { ...each, group: 'stack, pictures' },
        { result: job?.errorCode ?? 'read', milliseconds, ...(!ok && fault) },
      )
    }
    for (const each of messages) {
      const isUnreadable = readQueueMessage(each.body).kind === 'unreadable'
      const copies = messages.filter(({ body }) => body === each.body).length
      const codes = lettersOf(letters, (letter) => letter.Body === each.body)
      const ok = isUnreadable
        ? codes.length === copies && codes.every((code) => code === 'MESSAGE_UNREADABLE')
        : codes.every(Boolean)
      const fault = { fault: `${codes.length} dead letters for ${copies} such messages: ${codes}` }
      findings.add(
        { ...each, group: 'stack, messages' },
        { result: codes[0] || 'read', milliseconds, ...(!ok && fault) },
      )
    }
    await everySlotWorks()
  } finally {
    await consumer.stop()
    await database.close()
    sqs.destroy()
    await stack.close()
  }

  /** False for what the queue itself does not take, and so never reaches the consumer. */
  async function send(body: string): Promise<boolean> {
    try {
      await sqs.send(new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: body }))
      return true
    } catch (error) {
      if (error instanceof SQSServiceException && error.$fault === 'client') return false
      throw error
    }
  }

  /** As many good pictures as there are slots wait for each other in their composition. */
  async function everySlotWorks(): Promise<void> {
    together.expect(slots)
    const keys = Array.from({ length: slots }, (_, slot) => `uploads/after/${slot}.jpg`)
    for (const [index, key] of keys.entries()) await upload(key, await good(1 + index))
    await drained()
    for (const key of keys) {
      const job = await stateOf(key)
      if (job?.state !== 'succeeded' || job.attempt !== 1) findings.faults.push(`${key}: found ${JSON.stringify(job)}`)
    }
    if (consumer.health().inWork) findings.faults.push(`found ${consumer.health().inWork} in work at the end`)
  }

  /** Resolves when the queue is empty, messages in work included. */
  async function drained(): Promise<void> {
    let least = Number.POSITIVE_INFINITY
    let deadline = Date.now() + patienceMs
    for (;;) {
      const { visible, inFlight } = await queue.depth()
      if (visible + inFlight === 0) return
      if (visible + inFlight < least) {
        least = visible + inFlight
        deadline = Date.now() + patienceMs
      }
      if (Date.now() > deadline)
        throw new Error(`${visible} messages waiting and ${inFlight} in flight do not get fewer`)
      await sleep(50)
    }
  }

  async function takeDeadLetters(): Promise<Message[]> {
    const letters: Message[] = []
    for (;;) {
      const receive = { QueueUrl: dlqUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'] }
      const { Messages: messages = [] } = await sqs.send(new ReceiveMessageCommand(receive))
      if (!messages.length) return letters
      letters.push(...messages)
      const Entries = messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }))
      await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: dlqUrl, Entries }))
    }
  }
}

/** The codes of some letters; an empty one for a letter without all that it must say. */
function lettersOf(letters: Message[], which: (letter: Message) => boolean): (keyof typeof errorCodes | '')[] {
  return letters.filter(which).map(({ MessageAttributes: attributes = {} }) => {
    const code = attributes.reason_code?.StringValue as keyof typeof errorCodes
    const { reason, failed_at: failedAt, attempts } = attributes
    const isWhole = code in errorCodes && reason?.StringValue && failedAt?.StringValue && attempts?.StringValue === '1'
    return isWhole ? code : ''
  })
}

/** Where those who come wait until all who are expected are there; nobody waits before someone is. */
function createMeeting() {
  let missing = 0
  let all = Promise.withResolvers<void>()
  return {
    expect(count: number): void {
      missing = count
      all = Promise.withResolvers()
    },
    async come(signal: AbortSignal): Promise<void> {
      if (missing > 0 && --missing > 0) {
        const { promise, reject } = Promise.withResolvers<never>()
        signal.addEventListener('abort', () => reject(signal.reason), { once: true })
        await Promise.race([all.promise, promise])
      } else all.resolve()
    },
  }
}
