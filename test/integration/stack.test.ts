import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import {
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import pLimit from 'p-limit'
import { createSqsClient } from '#shared/aws/clients.ts'
import { type ImageUploaded, readQueueMessage } from '#shared/contract/queue-message.ts'
import { startDatabase } from '../../services/local/database.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'

let stack: Stack
let sqs: SQSClient

const connect = (to: Stack) =>
  createSqsClient({
    region: to.env.AWS_REGION!,
    endpoint: to.env.AWS_ENDPOINT_URL!,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  })

before(async () => {
  stack = await startStack()
  sqs = connect(stack)
})

after(async () => {
  sqs?.destroy()
  await stack?.close()
})

const put = (key: string, body: string | Buffer, to = stack) =>
  to.s3.send(new PutObjectCommand({ Bucket: to.env.BUCKET, Key: key, Body: body }))

/** Takes messages off the queue until `count` uploads have come, or none comes for 2 s. */
async function receiveUploads(count: number, from = stack, client = sqs): Promise<ImageUploaded[]> {
  const uploads: ImageUploaded[] = []
  while (uploads.length < count) {
    const { Messages: messages } = await client.send(
      new ReceiveMessageCommand({ QueueUrl: from.env.QUEUE_URL, MaxNumberOfMessages: 10, WaitTimeSeconds: 2 }),
    )
    if (!messages) break
    for (const message of messages) {
      uploads.push(...uploadsOf(message))
      await client.send(
        new DeleteMessageCommand({ QueueUrl: from.env.QUEUE_URL, ReceiptHandle: message.ReceiptHandle }),
      )
    }
  }
  return uploads
}

function uploadsOf({ Body: body }: Message): ImageUploaded[] {
  const read = readQueueMessage(body!)
  assert.equal(read.kind, 'uploads')
  return read.kind === 'uploads' ? read.uploads : []
}

test('keys of every kind arrive as they were uploaded, with the size and the etag of the object', async () => {
  const keys = [
    'uploads/a b+c%2Fd.jpg',
    'uploads/한국어/그림 😀.png',
    'uploads/100%',
    'uploads/%E0%A4%A',
    'uploads//a//../b/',
    'uploads/!\'()*~?#&=[]{}<>^"`\\|;:@$,',
    `uploads/${'x'.repeat(1016)}`,
  ]
  for (const key of keys) await put(key, key)
  const uploads = await receiveUploads(keys.length)
  assert.deepEqual(
    uploads.map(({ key, size }) => ({ key, size })),
    keys.map((key) => ({ key, size: Buffer.byteLength(key) })),
  )
  for (const { key, etag } of uploads) {
    const head = await stack.s3.send(new HeadObjectCommand({ Bucket: stack.env.BUCKET, Key: key }))
    assert.equal(head.ETag, `"${etag}"`)
  }
})

test('no upload of a burst is missed, and later sequencers are greater', async () => {
  const keys = Array.from({ length: 300 }, (_, index) => `uploads/burst ${index}`)
  await pLimit(20).map(keys, (key) => put(key, key))
  const uploads = await receiveUploads(keys.length)
  assert.deepEqual(uploads.map(({ key }) => key).toSorted(), keys.toSorted())
  const sequencers = uploads.map(({ sequencer }) => sequencer)
  assert.deepEqual(sequencers, sequencers.toSorted())
})

test('an upload in parts is announced once, and what lies outside uploads/ never', async () => {
  await put('generated/a.wav', 'music')
  const target = { Bucket: stack.env.BUCKET, Key: 'uploads/parts.jpg' }
  const { UploadId } = await stack.s3.send(new CreateMultipartUploadCommand(target))
  const part = await stack.s3.send(new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: 'whole' }))
  const parts = { Parts: [{ PartNumber: 1, ETag: part.ETag }] }
  await stack.s3.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: parts }))
  const uploads = await receiveUploads(2)
  assert.deepEqual(
    uploads.map(({ key, size }) => ({ key, size })),
    [{ key: 'uploads/parts.jpg', size: 5 }],
  )
})

test('an upload by a form is announced once', async () => {
  const form = new FormData()
  form.append('key', 'uploads/form.jpg')
  form.append('file', new Blob(['picture']))
  const url = `${stack.env.AWS_ENDPOINT_URL}/${stack.env.BUCKET}`
  assert.equal((await fetch(url, { method: 'POST', body: form })).status, 204)
  await put('uploads/next.jpg', 'picture')
  const uploads = await receiveUploads(2)
  assert.deepEqual(
    uploads.map(({ key }) => key),
    ['uploads/form.jpg', 'uploads/next.jpg'],
  )
})

test('a picture larger than the consumer takes can be uploaded', async () => {
  await put('uploads/large', Buffer.alloc(30 * 2 ** 20))
  const [upload] = await receiveUploads(1)
  assert.equal(upload!.size, 30 * 2 ** 20)
})

test('the queue redrives after 1,000 receives and keeps 4 days, the dead-letter queue 14', async () => {
  const attributes = async (url: string) =>
    (await sqs.send(new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }))).Attributes!
  const queue = await attributes(stack.env.QUEUE_URL!)
  const dlq = await attributes(stack.env.DLQ_URL!)
  assert.deepEqual(JSON.parse(queue.RedrivePolicy!), { deadLetterTargetArn: dlq.QueueArn, maxReceiveCount: 1000 })
  assert.equal(queue.MessageRetentionPeriod, '345600')
  assert.equal(dlq.MessageRetentionPeriod, '1209600')
})

test('it listens on loopback only', async () => {
  const { port } = new URL(stack.env.AWS_ENDPOINT_URL!)
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, family }) => !internal && family === 'IPv4')
  for (const { address } of outside) await assert.rejects(fetch(`http://${address}:${port}/health`))
  assert.equal((await fetch(`http://127.0.0.1:${port}/health`)).status, 200)
})

test('objects, messages and records outlive it where a folder keeps its state', async () => {
  const stateDir = await mkdtemp(join(tmpdir(), 'promenade-test-'))
  try {
    const first = await startStack({ stateDir })
    await put('uploads/kept', 'kept', first)
    await first.close()
    await first.close()

    const second = await startStack({ stateDir })
    const client = connect(second)
    try {
      const target = { Bucket: second.env.BUCKET, Key: 'uploads/kept' }
      const { Body: body } = await second.s3.send(new GetObjectCommand(target))
      assert.equal(await body!.transformToString(), 'kept')
      const [upload] = await receiveUploads(1, second, client)
      assert.equal(upload!.key, 'uploads/kept')
      await put('uploads/next', 'next', second)
      const [next] = await receiveUploads(1, second, client)
      assert.ok(next!.sequencer > upload!.sequencer)
    } finally {
      client.destroy()
      await second.close()
    }
  } finally {
    await rm(stateDir, { recursive: true })
  }
})

test('another database is migrated and used', async () => {
  const database = await startDatabase()
  const settings = { DATABASE_URL: database.url, DATABASE_TLS: 'off' as const }
  try {
    const other = await startStack({ database: settings })
    assert.equal(other.env.DATABASE_URL, database.url)
    await other.close()
  } finally {
    await database.close()
  }
  await assert.rejects(startStack({ database: settings }), /ECONNREFUSED/)
})
