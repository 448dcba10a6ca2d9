import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import { sql } from 'drizzle-orm'
import { pino } from 'pino'
import { createSqsClient } from '#shared/aws/clients.ts'
import { readConfig } from '#shared/config.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { createResults } from '#shared/db/results.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { seedOf } from '../../services/consumer/pipeline/seed.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'
import { until } from '../until.ts'

const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }

let stack: Stack
let database: Database

before(async () => {
  stack = await startStack()
  database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
})

after(async () => {
  await database.close()
  await stack.close()
})

test('a database that answers and has no tables is told to be away until a picture succeeds, which counts no try', async () => {
  const consumer = start()
  try {
    await database.run((db) => db.execute(sql`rename table jobs to jobs_away`))
    try {
      await upload('uploads/read-only.jpg', 1)
      let toldSince = Number.NaN
      // Twice as long as the first pause.
      await until(() => {
        const isTold = consumer.health().outages[0]?.code === 'DATABASE_UNAVAILABLE'
        toldSince = isTold ? toldSince || Date.now() : Number.NaN
        return Date.now() - toldSince > 2000
      })
    } finally {
      await database.run((db) => db.execute(sql`rename table jobs_away to jobs`))
    }
    const { state, attempt } = await ended('uploads/read-only.jpg')
    assert.deepEqual([state, attempt], ['succeeded', 1])
    await until(() => consumer.health().outages.length === 0)
  } finally {
    await consumer.stop()
  }
})

test('a picture that alone meets an outage while others succeed fails after its tries, with code and reason', async () => {
  const poison = seedOf(await picture(0))
  const stub = createStubInference()
  const consumer = start({
    compose: async (clip, hearing) => {
      if (clip.seed === poison) throw new RetryableFailure('MODEL_UNAVAILABLE', 'no room for this one')
      return stub.compose(clip, hearing)
    },
  })
  let isOver = false
  const others = (async () => {
    for (let each = 1; !isOver; each++) {
      await upload(`uploads/${each}.jpg`, each)
      await sleep(300)
    }
  })()
  try {
    await upload('uploads/poison.jpg', 0)
    const { state, attempt, errorCode } = await ended('uploads/poison.jpg')
    assert.deepEqual([state, attempt, errorCode], ['failed', 2, 'MODEL_UNAVAILABLE'])
  } finally {
    isOver = true
    await others
    await consumer.stop()
  }
  const sqs = createSqsClient({ region: stack.env.AWS_REGION!, endpoint: stack.env.AWS_ENDPOINT_URL, credentials })
  const receive = new ReceiveMessageCommand({ QueueUrl: stack.env.DLQ_URL, MessageAttributeNames: ['All'] })
  const { Messages: [letter] = [] } = await sqs.send(receive)
  const { reason_code: code, reason } = letter!.MessageAttributes!
  assert.deepEqual([code!.StringValue, reason!.StringValue], ['MODEL_UNAVAILABLE', 'no room for this one'])
  sqs.destroy()
})

function start(inference: Partial<Inference> = {}) {
  const settings = { MUSIC_SECONDS: '0.1', LEASE_SECONDS: '3', MAX_ATTEMPTS: '2', MODEL_DIR: '/tmp' }
  const consumer = createConsumer({
    config: readConfig(consumerSettings, { ...stack.env, ...settings }),
    credentials,
    jobs: createJobs({ database }),
    inference: { ...createStubInference(), ...inference },
    words: promptWords,
    logger: pino({ enabled: false }),
  })
  consumer.start()
  return consumer
}

function picture(seed: number): Promise<Buffer> {
  return drawPicture(seed, { width: 64, height: 48 }).jpeg().toBuffer()
}

async function upload(key: string, seed: number): Promise<void> {
  await stack.s3.send(new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: key, Body: await picture(seed) }))
}

async function ended(key: string) {
  const results = createResults({ database, bucket: stack.env.BUCKET! })
  return until(async () => {
    const found = await results.find({ key })
    return found && ['succeeded', 'failed'].includes(found.job.state) && found.job
  })
}
