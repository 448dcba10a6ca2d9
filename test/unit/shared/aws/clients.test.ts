import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import { createPresigningClient, createS3Client, createSqsClient, createSqsReceiveClient } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { createPresigner } from '#shared/aws/presign.ts'
import { createQueue } from '#shared/aws/queue.ts'

/** As of a helper that hangs. */
const location = {
  region: 'eu-west-1',
  endpoint: 'http://127.0.0.1:9',
  credentials: () => new Promise<never>(() => {}),
}
const queueUrl = 'http://127.0.0.1:9/queue'

test('credentials that do not come hold up no call past its time limit, nor past its signal', async () => {
  const s3 = createS3Client(location)
  const late = createObjectStore({ s3, bucket: 'pictures', timeoutMs: 20 })
  await assert.rejects(late.ping(new AbortController().signal), /no answer within 0.02 s/)
  const patient = createObjectStore({ s3, bucket: 'pictures' })
  const controller = new AbortController()
  const reading = patient.get({ key: 'a' }, { maxBytes: 1, signal: controller.signal })
  const reason = new Error('lease lost')
  controller.abort(reason)
  await assert.rejects(reading, reason)
  const queue = createQueue({ sqs: createSqsClient(location), queueUrl, dlqUrl: queueUrl, timeoutMs: 20 })
  await assert.rejects(queue.acknowledge({ ReceiptHandle: 'a' }), /acknowledging the message failed: TimeoutError/)
})

test('credentials that do not come end the signing of an address', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const presigner = createPresigner({ s3: createPresigningClient(location), bucket: 'pictures' })
  const signing = presigner.get({ key: 'a', expiresInSeconds: 60 })
  t.mock.timers.tick(10_000)
  await assert.rejects(signing, { code: 'STORAGE_UNAVAILABLE', message: /no credentials within 10 s/ })
})

test('credentials that do not come end a receive within a minute', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const receiving = createSqsReceiveClient(location).send(new ReceiveMessageCommand({ QueueUrl: queueUrl }))
  t.mock.timers.tick(60_000)
  await assert.rejects(receiving, /no answer from SQS within 53 s/)
})
