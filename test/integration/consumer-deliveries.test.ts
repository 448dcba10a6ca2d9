import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import { pino } from 'pino'
import { openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference } from '../stub-inference.ts'
import { startTcpProxy } from '../tcp-proxy.ts'
import { until } from '../until.ts'
import {
  acknowledge,
  countRows,
  deadLetters,
  depth,
  drained,
  finished,
  music,
  redrive,
  results,
  send,
  sqs,
  stack,
  startConsumer,
  upload,
  withConsumer,
} from './consumer-fixture.ts'

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

test('a picture whose first try fails is tried again, and its second gives it its music', async () => {
  const key = 'uploads/second try.jpg'
  let compositions = 0
  const inference: Partial<Inference> = {
    compose: async (clip, options) =>
      compositions++ ? createStubInference().compose(clip, options) : [new Float32Array([Number.NaN])],
  }
  await withConsumer({ inference, settings: { MAX_ATTEMPTS: '2' }, random: () => -0.8 }, async () => {
    await upload(key, await drawPicture(1).jpeg().toBuffer())
    const { job } = await finished(key)
    assert.deepEqual([job.state, job.attempt, compositions], ['succeeded', 2, 2])
  })
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
