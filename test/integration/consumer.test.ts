import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
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
import { jobId, musicKey } from '#shared/contract/key.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { createResults, type FoundJob, type Results } from '#shared/db/results.ts'
import { artAnalysis, jobs as jobsTable } from '#shared/db/schema.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import { encodeWav, readWav } from '../../services/consumer/audio/wav.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { badPictures, drawPicture, goodPictures } from '../picture.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'
import { startTcpProxy } from '../tcp-proxy.ts'

const patienceMs = 20_000
const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }

let stack: Stack
let sqs: SQSClient
let database: Database
let jobs: Jobs
let results: Results

before(async () => {
  stack = await startStack()
  sqs = createSqsClient({ region: stack.env.AWS_REGION!, endpoint: stack.env.AWS_ENDPOINT_URL, credentials })
  database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  jobs = createJobs({ database })
  results = createResults({ database, bucket: stack.env.BUCKET! })
})

after(async () => {
  await database.close()
  sqs.destroy()
  await stack.close()
})

test('every kind of picture gets its row and its WAV', async () => {
  await withConsumer({}, async () => {
    for (const [name, make] of Object.entries(goodPictures)) await upload(`uploads/kinds/${name}`, await make())
    for (const name of Object.keys(goodPictures)) {
      const { job, analysis } = await finished(`uploads/kinds/${name}`)
      assert.equal(job.state, 'succeeded', `${name}: ${job.errorMessage}`)
      assert.equal(job.attempt, 1)
      const music = await stack.s3.send(
        new GetObjectCommand({ Bucket: stack.env.BUCKET, Key: `generated/kinds/${name}/${job.id}.wav` }),
      )
      assert.equal(music.ContentType, 'audio/wav')
      const { comment, ...length } = readWav(Buffer.from(await music.Body!.transformToByteArray()))!
      assert.deepEqual(length, { sampleRate: 32_000, seconds: 0.1 })
      const { prompt, seed, musicModel: model, musicModelRevision: revision } = analysis!
      assert.deepEqual(JSON.parse(comment!), { prompt, seed, model, revision })
      assert.ok(analysis!.totalMs >= analysis!.storeMs)
    }
  })
  assert.deepEqual(await depth(), { visible: 0, inFlight: 0 })
})

test('of music that is there already, by another model and of another length, the record is in its words', async () => {
  const key = 'uploads/made before.jpg'
  const { ETag: etag } = await upload(key, await drawPicture(1).jpeg().toBuffer())
  const id = jobId({ bucket: stack.env.BUCKET!, key, version: etag!.replaceAll('"', '') })
  const music = { Bucket: stack.env.BUCKET, Key: musicKey(key, id) }
  const made = { prompt: '느린 왈츠 '.repeat(160), seed: 7, model: 'musicgen-of-then', revision: 'r1' }
  const comment = JSON.stringify(made)
  const wav = encodeWav({ channels: [new Float32Array(64_000)], sampleRate: 32_000, comment })
  await stack.s3.send(new PutObjectCommand({ ...music, Body: wav, ContentType: 'audio/wav' }))
  await withConsumer({}, async () => {
    const { analysis } = await finished(key)
    const { prompt, seed, musicModel: model, musicModelRevision: revision } = analysis!
    assert.deepEqual({ prompt, seed, model, revision }, made)
    assert.deepEqual([analysis!.durationSeconds, analysis!.musicBytes], [2, wav.length])
  })
  const { Body: body } = await stack.s3.send(new GetObjectCommand(music))
  assert.ok(wav.equals(await body!.transformToByteArray()))
})

test('every kind of bad file fails with its code, in the row and in the dead letter', async () => {
  const large = { make: async () => Buffer.alloc(300_001), code: 'IMAGE_TOO_LARGE' }
  const files = { ...badPictures, 'large.jpg': large }
  await withConsumer({ settings: { MAX_IMAGE_BYTES: '300000' } }, async () => {
    for (const [name, { make }] of Object.entries(files)) await upload(`uploads/bad files/${name}`, await make())
    for (const [name, { code }] of Object.entries(files)) {
      const { job, analysis } = await finished(`uploads/bad files/${name}`)
      assert.deepEqual([job.state, job.errorCode, job.errorRetryable], ['failed', code, false], name)
      assert.equal(analysis, null)
    }
  })
  const letters = await deadLetters()
  assert.deepEqual(
    Object.fromEntries(letters.map(({ image_key: key, reason_code: code }) => [decodeURIComponent(key!), code])),
    Object.fromEntries(Object.entries(files).map(([name, { code }]) => [`uploads/bad files/${name}`, code])),
  )
  for (const letter of letters) {
    assert.equal(letter.attempts, '1')
    assert.ok(letter.reason && letter.failed_at)
  }
  assert.deepEqual(await depth(), { visible: 0, inFlight: 0 })
})

test('keys of every kind of character lead to their own results', async () => {
  const keys = ['a b', 'a+b', 'a%2Fb', 'a/b', '100%', '한글/그림', '🎨', "'()!~*", 'x'.repeat(1000)].map(
    (name) => `uploads/keys/${name}.jpg`,
  )
  await withConsumer({}, async () => {
    for (const [index, key] of keys.entries()) await upload(key, await drawPicture(index).jpeg().toBuffer())
    for (const key of keys) {
      const { job, analysis } = await finished(key)
      assert.equal(job.state, 'succeeded', key)
      assert.equal(job.imageKey, key)
      assert.equal(decodeURIComponent(new URL(analysis!.imageUrl).pathname), `/${key}`)
    }
  })
})

test('an event received many times gives one row and one WAV, however many consumers there are', async () => {
  const key = 'uploads/twice.jpg'
  await upload(key, await drawPicture(1).jpeg().toBuffer())
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: stack.env.QUEUE_URL, WaitTimeSeconds: 5 }))
  for (let copies = 0; copies < 10; copies++) await send(Messages![0]!.Body!)
  await acknowledge(Messages![0]!.ReceiptHandle!)
  const compositions: number[] = []
  const slowly: Partial<Inference> = {
    compose: async (clip, options) => {
      compositions.push(clip.seed)
      await sleep(300)
      return createStubInference().compose(clip, options)
    },
  }
  const quickly = { LEASE_SECONDS: '3' }
  await withConsumer({ inference: slowly, settings: quickly }, () =>
    withConsumer({ inference: slowly, settings: quickly }, async () => {
      await finished(key)
      await drained()
    }),
  )
  assert.equal(compositions.length, 1)
  assert.equal((await music('generated/twice.jpg/')).length, 1)
  assert.equal(await countRows(key), 1)
})

test('a picture whose holder has vanished is taken over when its lease is over', async () => {
  const key = 'uploads/orphan.jpg'
  const inference: Partial<Inference> = { compose: () => new Promise(() => {}) }
  // Neither finishes nor gives back: as if killed.
  const vanished = startConsumer({ inference, settings: { LEASE_SECONDS: '3', GRACE_SECONDS: '0' } })
  await upload(key, await drawPicture(1).jpeg().toBuffer())
  await until(async () => (await results.find({ key }))?.job.stage === 'composing')
  await vanished.stop()
  await withConsumer({ settings: { LEASE_SECONDS: '3' } }, async () => {
    const { job } = await finished(key)
    assert.equal(job.state, 'succeeded')
    assert.equal(job.attempt, 2)
  })
})

test('a stop gives back what is in work, uncounted, and the next consumer takes it at once', async () => {
  const key = 'uploads/interrupted.jpg'
  const inference: Partial<Inference> = {
    compose: (_clip, { signal }) =>
      new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  }
  const stopped = startConsumer({ inference, settings: { GRACE_SECONDS: '1' } })
  await upload(key, await drawPicture(1).jpeg().toBuffer())
  await until(async () => (await results.find({ key }))?.job.state === 'processing')
  assert.deepEqual(stopped.health(), { running: true, inWork: 1, outages: [] })
  await stopped.stop()
  const { job } = (await results.find({ key }))!
  assert.deepEqual([job.state, job.attempt], ['queued', 0])
  await withConsumer({}, async () => {
    assert.equal((await finished(key)).job.attempt, 1)
  })
})

test('a stop lets what is in work finish within the grace period', async () => {
  const key = 'uploads/finishing.jpg'
  const inference: Partial<Inference> = {
    compose: async (clip, options) => {
      await sleep(500)
      return createStubInference().compose(clip, options)
    },
  }
  const stopped = startConsumer({ inference, settings: { GRACE_SECONDS: '4' } })
  await upload(key, await drawPicture(1).jpeg().toBuffer())
  await until(async () => stopped.health().inWork === 1)
  await stopped.stop()
  assert.equal((await results.find({ key }))?.job.state, 'succeeded')
  assert.deepEqual(await depth(), { visible: 0, inFlight: 0 })
})

test('messages that cannot be read or are about another bucket are dead-lettered with their reason', async () => {
  await withConsumer({}, async () => {
    await send('hello')
    await send('{"Service":"Amazon S3","Event":"s3:TestEvent"}')
    await send(JSON.stringify(foreign))
    await drained()
  })
  const letters = await deadLetters()
  assert.deepEqual(letters.map(({ reason_code: code }) => code).toSorted(), [
    'MESSAGE_FOREIGN_BUCKET',
    'MESSAGE_UNREADABLE',
  ])
})

test('a picture that fails again and again is dead-lettered after its last try', async () => {
  const key = 'uploads/unlucky.jpg'
  const inference: Partial<Inference> = { compose: async () => [new Float32Array([Number.NaN])] }
  await withConsumer({ inference, settings: { MAX_ATTEMPTS: '2' }, random: () => -1 }, async () => {
    await upload(key, await drawPicture(1).jpeg().toBuffer())
    const { job } = await finished(key)
    assert.deepEqual([job.state, job.errorCode, job.errorRetryable], ['failed', 'GENERATION_FAILED', true])
    assert.equal(job.attempt, 2)
    await drained()
  })
  const [letter, ...others] = await deadLetters()
  assert.deepEqual([letter?.reason_code, letter?.attempts, others], ['GENERATION_FAILED', '2', []])
})

test('a picture put back after it was gone is made music of', async () => {
  const key = 'uploads/put back.jpg'
  const body = await drawPicture(1).jpeg().toBuffer()
  await upload(key, body)
  await until(async () => (await depth()).visible === 1)
  await stack.s3.send(new DeleteObjectCommand({ Bucket: stack.env.BUCKET, Key: key }))
  await withConsumer({}, async () => {
    assert.equal((await finished(key)).job.errorCode, 'IMAGE_NOT_FOUND')
    await drained()
    await upload(key, body)
    const { job } = await until(async () => {
      const found = await results.find({ key })
      return found?.job.state === 'succeeded' && found
    })
    assert.deepEqual([job.attempt, job.errorCode], [1, null])
  })
  assert.equal((await deadLetters()).length, 1)
})

test('a dead letter replayed has its picture made music of, once, however often it is delivered', async () => {
  const key = 'uploads/second chance.jpg'
  let broken = true
  const inference: Partial<Inference> = {
    compose: async (clip, options) =>
      broken ? [new Float32Array([Number.NaN])] : createStubInference().compose(clip, options),
  }
  await upload(key, await drawPicture(1).jpeg().toBuffer())
  await withConsumer({ inference, settings: { MAX_ATTEMPTS: '1' } }, async () => {
    assert.equal((await finished(key)).job.state, 'failed')
  })
  broken = false
  const folder = await mkdtemp(join(tmpdir(), 'promenade-replay-'))
  try {
    const replay = ['services/dlq/main.ts', 'replay', '--prefix', key, '--yes', '--audit', join(folder, 'audit.jsonl')]
    const { stdout } = await promisify(execFile)(process.execPath, replay, { env: stack.env, timeout: 30_000 })
    assert.match(stdout, /replayed as .*: uploads\/second chance\.jpg\n$/)
  } finally {
    await rm(folder, { recursive: true })
  }
  await redrive(stack.env.QUEUE_URL!, stack.env.QUEUE_URL!, 3)
  await withConsumer({ inference, settings: { LEASE_SECONDS: '3' } }, async () => {
    const { job } = await until(async () => {
      const found = await results.find({ key })
      return found?.job.state === 'succeeded' && found
    })
    assert.deepEqual([job.attempt, job.errorCode], [1, null])
  })
  assert.equal(await countRows(key), 1)
  assert.equal((await music('generated/second chance.jpg/')).length, 1)
  assert.deepEqual(await deadLetters(), [])
})

test('a redrive as the console does it opens a failed job once per failure', async () => {
  const key = 'uploads/redriven.jpg'
  let compositions = 0
  const inference: Partial<Inference> = {
    compose: async (clip, options) => {
      compositions++
      return compositions < 3 ? [new Float32Array([Number.NaN])] : createStubInference().compose(clip, options)
    },
  }
  const settings = { MAX_ATTEMPTS: '1', LEASE_SECONDS: '3' }
  await upload(key, await drawPicture(1).jpeg().toBuffer())
  await withConsumer({ inference, settings }, async () => {
    await finished(key)
    await drained()
    await redrive(stack.env.DLQ_URL!, stack.env.QUEUE_URL!, 5)
    await until(async () => compositions === 2)
    await drained()
    assert.equal((await finished(key)).job.state, 'failed', 'the others were of the failure before')
    assert.equal(compositions, 2)
    await redrive(stack.env.DLQ_URL!, stack.env.QUEUE_URL!, 5)
    await until(async () => (await results.find({ key }))?.job.state === 'succeeded')
  })
  assert.deepEqual([compositions, await countRows(key), await deadLetters()], [3, 1, []])
})

test('while the database is away nothing is received, and the work goes on when it is back', async () => {
  const key = 'uploads/patient.jpg'
  const proxy = await startTcpProxy(Number(new URL(stack.env.DATABASE_URL!).port))
  const url = new URL(stack.env.DATABASE_URL!)
  url.port = String(proxy.port)
  const distant = openDatabase({ url: url.href, tls: 'off', timeoutSeconds: 0.2 })
  const messages: string[] = []
  const logger = pino({}, { write: (line) => messages.push(JSON.parse(line).msg) })
  const heard = (message: string) => messages.filter((each) => each === message).length
  try {
    proxy.hold()
    // Every wait is none: only what pauses receiving keeps the message from coming at once, again and again.
    const options = { jobs: createJobs({ database: distant }), logger, random: () => -1 }
    await withConsumer(options, async () => {
      await upload(key, await drawPicture(1).jpeg().toBuffer())
      await until(async () => heard('still away') >= 5)
      assert.ok(heard('the picture could not be claimed or given back') <= 4, 'each poller receives once at most')
      proxy.pass()
      assert.equal((await finished(key)).job.state, 'succeeded')
    })
  } finally {
    await distant.close()
    await proxy.close()
  }
  assert.deepEqual(await deadLetters(), [])
})

const foreign = {
  Records: [
    {
      eventVersion: '2.1',
      eventSource: 'aws:s3',
      eventName: 'ObjectCreated:Put',
      eventTime: '2026-01-02T03:04:05.678Z',
      s3: { bucket: { name: 'foreign' }, object: { key: 'uploads/a.jpg', size: 1, eTag: 'e1', sequencer: '0A' } },
    },
  ],
}

interface ConsumerOptions {
  inference?: Partial<Inference>
  settings?: Record<string, string>
  random?: () => number
  jobs?: Jobs
  logger?: Logger
}

function startConsumer({ inference, settings, random, ...own }: ConsumerOptions) {
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

async function withConsumer(options: ConsumerOptions, use: () => Promise<void>): Promise<void> {
  const consumer = startConsumer(options)
  try {
    await use()
    await drained()
  } finally {
    await consumer.stop()
  }
}

async function upload(key: string, body: Buffer) {
  return stack.s3.send(new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: key, Body: body }))
}

async function send(body: string): Promise<void> {
  await sqs.send(new SendMessageCommand({ QueueUrl: stack.env.QUEUE_URL, MessageBody: body }))
}

async function acknowledge(receiptHandle: string): Promise<void> {
  await sqs.send(new DeleteMessageCommand({ QueueUrl: stack.env.QUEUE_URL, ReceiptHandle: receiptHandle }))
}

/** Moves the one message there, as so many copies: what SQS and its console keep of it is the body and the attributes. */
async function redrive(from: string, to: string, copies: number): Promise<void> {
  const receive = new ReceiveMessageCommand({ QueueUrl: from, MessageAttributeNames: ['All'], WaitTimeSeconds: 5 })
  const { Messages: [message] = [] } = await sqs.send(receive)
  const { Body: MessageBody, MessageAttributes, ReceiptHandle } = message!
  for (let i = 0; i < copies; i++) {
    await sqs.send(new SendMessageCommand({ QueueUrl: to, MessageBody, MessageAttributes }))
  }
  await sqs.send(new DeleteMessageCommand({ QueueUrl: from, ReceiptHandle }))
}

async function finished(key: string): Promise<FoundJob> {
  return until(async () => {
    const found = await results.find({ key })
    return found && ['succeeded', 'failed'].includes(found.job.state) ? found : undefined
  })
}

/** Resolves when the queue is empty, messages in work included. */
async function drained(): Promise<void> {
  await until(async () => {
    const { visible, inFlight } = await depth()
    return visible + inFlight === 0
  })
}

async function depth() {
  const { QUEUE_URL: queueUrl, DLQ_URL: dlqUrl } = stack.env
  return createQueue({ sqs, queueUrl: queueUrl!, dlqUrl: dlqUrl! }).depth()
}

/** Takes all dead letters; the attributes of each. */
async function deadLetters(): Promise<Record<string, string | undefined>[]> {
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

async function music(prefix: string) {
  const { Contents = [] } = await stack.s3.send(new ListObjectsV2Command({ Bucket: stack.env.BUCKET, Prefix: prefix }))
  return Contents
}

async function countRows(key: string): Promise<number> {
  const rows = await database.run((db) =>
    db
      .select({ id: artAnalysis.id })
      .from(artAnalysis)
      .innerJoin(jobsTable, eq(jobsTable.id, artAnalysis.jobId))
      .where(eq(jobsTable.imageKey, key)),
  )
  return rows.length
}

async function until<T>(ask: () => Promise<T | undefined | false>): Promise<T> {
  const deadline = Date.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (Date.now() > deadline) throw new Error(`not so within ${patienceMs / 1000} s: ${ask}`)
    await sleep(20)
  }
}
