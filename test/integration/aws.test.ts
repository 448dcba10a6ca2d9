import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { type Message, ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import type { FauxqsServer } from 'fauxqs'
import pLimit from 'p-limit'
import { createS3Client, createSqsClient } from '#shared/aws/clients.ts'
import { createObjectStore, type ListedObject } from '#shared/aws/object-store.ts'
import { createQueue, failureIdOf } from '#shared/aws/queue.ts'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import { region, startEmulator } from '../../services/local/emulator.ts'

const bucket = 'pictures'
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }
const { signal } = new AbortController()
const bounds = { maxBytes: 1000, signal }

let emulator: FauxqsServer
let clients: { s3: ReturnType<typeof createS3Client>; sqs: ReturnType<typeof createSqsClient> }

before(async () => {
  emulator = await startEmulator()
  emulator.createBucket(bucket)
  const location = { region, endpoint: emulator.address, credentials }
  clients = { s3: createS3Client(location), sqs: createSqsClient(location) }
})

after(async () => {
  clients.s3.destroy()
  clients.sqs.destroy()
  await emulator.stop()
})

for (const key of ['uploads/a b+c%2F/100%.jpg', 'uploads/그림 🎨.jpg', `uploads/${'한'.repeat(338)}`]) {
  test(`an object under ${key.slice(0, 30)} is written, found and read`, async () => {
    const objects = createObjectStore({ s3: clients.s3, bucket })
    const body = Buffer.from('the picture')
    await objects.put({ key, body, contentType: 'image/jpeg', signal })
    const found = await objects.head(key, signal)
    assert.equal(found?.size, body.length)
    assert.match(found.etag, /^[0-9a-f]{32}$/)
    assert.deepEqual(await objects.get({ key, etag: found.etag }, bounds), { bytes: body, metadata: {} })
  })
}

test('a picture is read with what its uploader says of it', async () => {
  const objects = createObjectStore({ s3: clients.s3, bucket })
  const key = 'uploads/told.jpg'
  const [Body, Metadata] = [Buffer.from('the picture'), { seed: '1' }]
  await clients.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body, Metadata }))
  assert.deepEqual(await objects.get({ key }, bounds), { bytes: Body, metadata: Metadata })
})

test('objects are listed page by page, digested and deleted', async () => {
  const objects = createObjectStore({ s3: clients.s3, bucket })
  const keys = Array.from({ length: 1_001 }, (_, index) => `listed/${String(index).padStart(4, '0')} +%그림`)
  const body = Buffer.from('the picture')
  await pLimit(20).map(keys, (key) => objects.put({ key, body, contentType: 'image/jpeg', signal }))
  const pages: ListedObject[][] = []
  for await (const page of objects.list('listed/', signal)) pages.push(page)
  assert.deepEqual(
    pages.map(({ length }) => length),
    [1000, 1],
  )
  assert.deepEqual(
    pages.flat().map(({ key }) => key),
    keys,
  )
  const found = (await objects.head(keys[0]!, signal))!
  const { etag, size, lastModified } = pages[0]![0]!
  assert.deepEqual([etag, size], [found.etag, found.size])
  assert.ok(Math.abs(lastModified.getTime() - found.lastModified.getTime()) < 1000)
  assert.equal(await objects.digest(keys[0]!, signal), createHash('sha256').update(body).digest('hex'))
  await objects.delete(keys[0]!, signal)
  await objects.delete(keys[0]!, signal)
  assert.equal(await objects.digest(keys[0]!, signal), undefined)
})

test('a picture that is missing or overwritten is not found', async () => {
  const objects = createObjectStore({ s3: clients.s3, bucket })
  const put = (text: string) =>
    clients.s3.send(new PutObjectCommand({ Bucket: bucket, Key: 'uploads/over.jpg', Body: text }))
  assert.equal(await objects.head('uploads/missing.jpg', signal), undefined)
  await fails(objects.get({ key: 'uploads/missing.jpg' }, bounds), PermanentFailure, 'IMAGE_NOT_FOUND')
  await put('first')
  const { etag } = (await objects.head('uploads/over.jpg', signal))!
  await put('second')
  await fails(objects.get({ key: 'uploads/over.jpg', etag }, bounds), PermanentFailure, 'IMAGE_NOT_FOUND')
})

test('of many that store under one name the first stays, and all are told what is there', async () => {
  const objects = createObjectStore({ s3: clients.s3, bucket })
  const bodies = Array.from({ length: 10 }, (_, index) => Buffer.from(`${index}`))
  const store = (body: Buffer) => objects.put({ key: 'generated/a.wav', body, contentType: 'audio/wav', signal })
  const [stored, ...others] = await Promise.all(bodies.map(store))
  assert.ok(bodies.some((body) => body.equals(stored!)))
  for (const other of others) assert.deepEqual(other, stored)
  assert.deepEqual((await objects.get({ key: 'generated/a.wav' }, bounds)).bytes, stored)
})

test('an object of the most bytes is read, and of one more refused', async () => {
  const objects = createObjectStore({ s3: clients.s3, bucket })
  const key = 'uploads/large.jpg'
  await objects.put({ key, body: Buffer.alloc(1000), contentType: 'image/jpeg', signal })
  assert.equal((await objects.get({ key }, bounds)).bytes.length, 1000)
  await fails(objects.get({ key }, { ...bounds, maxBytes: 999 }), PermanentFailure, 'IMAGE_TOO_LARGE')
})

test('the bucket is reached, and one that is missing is an outage and no missing picture', async () => {
  await createObjectStore({ s3: clients.s3, bucket }).ping(signal)
  const nowhere = createObjectStore({ s3: clients.s3, bucket: 'nowhere' })
  await fails(nowhere.ping(signal), RetryableFailure, 'STORAGE_UNAVAILABLE')
  await fails(nowhere.get({ key: 'uploads/a.jpg' }, bounds), RetryableFailure, 'STORAGE_UNAVAILABLE')
})

for (const [name, answer] of [
  ['refuses', (_request, response) => response.writeHead(503).end()],
  ['resets the connection', (request) => request.socket.resetAndDestroy()],
  ['ends a body early', (_request, response) => cutShort(response.writeHead(200, { 'content-length': 100 }))],
  ['never answers', () => {}],
  ['never ends a body', (_request, response) => response.writeHead(200, { 'content-length': 100 }).write('x')],
] as [string, RequestListener][]) {
  test(`a store that ${name} is an outage`, async () => {
    await withStore(answer, async (objects) => {
      await fails(objects.get({ key: 'uploads/a.jpg' }, bounds), RetryableFailure, 'STORAGE_UNAVAILABLE')
    })
  })
}

for (const [status, name, code] of [
  [400, 'InvalidArgument', 'IMAGE_NOT_FOUND'],
  [400, 'InvalidURI', 'IMAGE_NOT_FOUND'],
  [400, '', 'IMAGE_NOT_FOUND'],
  [403, 'InvalidObjectState', 'IMAGE_NOT_FOUND'],
  [400, 'ExpiredToken', 'STORAGE_UNAVAILABLE'],
  [400, 'AuthorizationHeaderMalformed', 'STORAGE_UNAVAILABLE'],
  [403, 'AccessDenied', 'STORAGE_UNAVAILABLE'],
  [403, 'SignatureDoesNotMatch', 'STORAGE_UNAVAILABLE'],
  [404, 'NoSuchBucket', 'STORAGE_UNAVAILABLE'],
] as const) {
  test(`a store that answers ${status} ${name} means ${code}`, async () => {
    const body = name && `<Error><Code>${name}</Code><Message>said</Message></Error>`
    const answer: RequestListener = (_request, response) =>
      response.writeHead(status, { 'content-type': 'application/xml' }).end(body)
    await withStore(answer, async (objects) => {
      const error = await fails(
        objects.get({ key: 'uploads/a.jpg' }, bounds),
        code === 'IMAGE_NOT_FOUND' ? PermanentFailure : RetryableFailure,
        code,
      )
      if (name === 'AccessDenied') assert.match(error.message, /s3:ListBucket/)
    })
  })
}

test('a body of no stated length is cut off at the most bytes', async () => {
  const answer: RequestListener = (_request, response) => {
    const write = () => {
      while (!response.destroyed && response.write(Buffer.alloc(500)));
    }
    response.writeHead(200).on('drain', write)
    write()
  }
  await withStore(answer, async (objects) => {
    await fails(objects.get({ key: 'uploads/a.jpg' }, bounds), PermanentFailure, 'IMAGE_TOO_LARGE')
  })
})

test('an aborted call throws the reason of its signal, before and during the body', async () => {
  const reason = new Error('stop')
  const stop = new AbortController()
  const answer: RequestListener = (_request, response) => {
    response.writeHead(200, { 'content-length': 100 }).write('x', () => stop.abort(reason))
  }
  await withStore(answer, async (objects) => {
    for (const _ of ['during', 'before']) {
      await assert.rejects(objects.get({ key: 'uploads/a.jpg' }, { ...bounds, signal: stop.signal }), reason)
    }
  })
})

test('a message is hidden, given back, and known to be no longer ours', async () => {
  const { queue, receive } = createQueues('hiding')
  emulator.sendMessage('hiding', 'hello')
  const message = (await receive())!
  assert.deepEqual(await queue.depth(), { visible: 0, inFlight: 1 })
  assert.equal(await queue.changeVisibility(message, 60), true)
  assert.equal(await queue.changeVisibility(message, 0), true)
  assert.deepEqual(await queue.depth(), { visible: 1, inFlight: 0 })
  assert.equal(await queue.changeVisibility(message, 60), false)
  await queue.acknowledge((await receive())!)
  assert.deepEqual(await queue.depth(), { visible: 0, inFlight: 0 })
})

test('a body that is sent is received as it was', async () => {
  const { queue, receive } = createQueues('sending')
  await queue.send('{"a":"그림"}')
  assert.equal((await receive())?.Body, '{"a":"그림"}')
})

test('a dead letter carries body, reason and key, in text that SQS takes', async () => {
  const { queue, receive, receiveDead } = createQueues('dying')
  const theirs = Object.fromEntries(
    Array.from({ length: 8 }, (_, i) => [`theirs_${i}`, { DataType: 'String', StringValue: 'x' }]),
  )
  emulator.sendMessage('dying', 'hello', { messageAttributes: theirs })
  await queue.deadLetter((await receive())!, {
    reasonCode: 'IMAGE_CORRUPT',
    reason: `bad\0 bytes \u0001\ufffe\ud800 ${'🎨'.repeat(1000)}`,
    attempts: 2,
    imageKey: 'uploads/a b\u0001/한.jpg',
  })
  const dead = (await receiveDead())!
  assert.equal(dead.Body, 'hello')
  const values = Object.fromEntries(
    Object.entries(dead.MessageAttributes ?? {}).map(([name, { StringValue }]) => [name, StringValue]),
  )
  assert.equal(Object.keys(values).length, 10)
  assert.equal(values.reason_code, 'IMAGE_CORRUPT')
  assert.match(values.reason!, /^bad bytes \ufffd 🎨/)
  assert.ok(values.reason!.length <= 1000)
  assert.equal(values.attempts, '2')
  assert.equal(values.failed_at, '2026-01-02T03:04:05.678Z')
  assert.equal(decodeURIComponent(values.image_key!), 'uploads/a b\u0001/한.jpg')
})

test('a dead letter that was sent again says nothing of its earlier failure, but how often that was', async () => {
  const { queue, receive, receiveDead } = createQueues('returning')
  const earlier = ['reason_code', 'reason', 'failed_at', 'attempts', 'image_key', 'failure_id', 'replay_count']
  const text = (StringValue: string) => ({ DataType: 'String', StringValue })
  emulator.sendMessage('returning', 'hello', {
    messageAttributes: Object.fromEntries([...['a', 'b', 'c'], ...earlier].map((name) => [name, text('earlier')])),
  })
  const message = (await receive())!
  await queue.deadLetter(message, { reasonCode: 'MESSAGE_UNREADABLE', reason: 'no JSON', attempts: 1 })
  const unreadable = (await receiveDead())!
  assert.deepEqual(
    Object.entries(unreadable.MessageAttributes ?? {}).flatMap(([name, { StringValue }]) =>
      StringValue === 'earlier' ? name : [],
    ),
    ['replay_count', 'a', 'b', 'c'],
  )
  assert.equal(failureIdOf(unreadable), undefined)
  await queue.deadLetter(message, { reasonCode: 'IMAGE_EMPTY', reason: 'empty', attempts: 1, failureId: 'f-1' })
  assert.equal(failureIdOf((await receiveDead())!), 'f-1')
})
for (const [room, kept] of [
  [0, []],
  [60, ['reason_code', 'attempts']],
  [400, ['reason_code', 'reason', 'attempts', 'failed_at']],
] as const) {
  test(`a dead letter whose body leaves ${room} bytes of what SQS takes says as much as fits`, async () => {
    const { queue, receive, receiveDead } = createQueues(`full-${room}`)
    emulator.sendMessage(`full-${room}`, 'x'.repeat(2 ** 20 - room))
    const reason = 'the body is not JSON, and this says it at some length'
    const imageKey = `uploads/${'x'.repeat(500)}`
    await queue.deadLetter((await receive())!, { reasonCode: 'MESSAGE_UNREADABLE', reason, attempts: 1, imageKey })
    const dead = (await receiveDead())!
    assert.equal(dead.Body?.length, 2 ** 20 - room)
    assert.deepEqual(Object.keys(dead.MessageAttributes ?? {}).toSorted(), kept.toSorted())
  })
}

test('a queue that is away is an outage', async () => {
  const { queue } = createQueues('gone')
  emulator.deleteQueue('gone')
  emulator.deleteQueue('gone-dlq')
  const message = { Body: 'hello', ReceiptHandle: 'x' }
  const reason = { reasonCode: 'IMAGE_CORRUPT', reason: 'bad', attempts: 1 } as const
  await fails(queue.deadLetter(message, reason), RetryableFailure, 'STORAGE_UNAVAILABLE')
  await fails(queue.changeVisibility(message, 0), RetryableFailure, 'STORAGE_UNAVAILABLE')
  await fails(queue.acknowledge(message), RetryableFailure, 'STORAGE_UNAVAILABLE')
  await fails(queue.depth(), RetryableFailure, 'STORAGE_UNAVAILABLE')
})

function createQueues(name: string) {
  const [queueUrl, dlqUrl] = [name, `${name}-dlq`].map((each) => emulator.createQueue(each).queueUrl)
  const receiveFrom = async (url: string): Promise<Message | undefined> => {
    const { Messages } = await clients.sqs.send(
      new ReceiveMessageCommand({ QueueUrl: url, MessageAttributeNames: ['All'], WaitTimeSeconds: 1 }),
    )
    return Messages?.[0]
  }
  return {
    queue: createQueue({
      sqs: clients.sqs,
      queueUrl: queueUrl!,
      dlqUrl: dlqUrl!,
      now: () => new Date('2026-01-02T03:04:05.678Z'),
    }),
    receive: () => receiveFrom(queueUrl!),
    receiveDead: () => receiveFrom(dlqUrl!),
  }
}

/** A store whose server behaves as `answer` does, and which is waited for half a second at most. */
async function withStore(
  answer: RequestListener,
  use: (objects: ReturnType<typeof createObjectStore>) => Promise<void>,
): Promise<void> {
  const server = createServer(answer)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const s3 = createS3Client({ region, endpoint, credentials })
  try {
    await use(createObjectStore({ s3, bucket, timeoutMs: 500 }))
  } finally {
    s3.destroy()
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
}

function cutShort(response: ServerResponse): void {
  response.write('x', () => response.destroy())
}

async function fails(
  call: Promise<unknown>,
  kind: typeof PermanentFailure | typeof RetryableFailure,
  code: ErrorCode,
): Promise<PermanentFailure | RetryableFailure> {
  const error: unknown = await call.then(
    () => assert.fail(`expected ${code}, found success`),
    (reason) => reason,
  )
  assert.ok(error instanceof kind, `${error}`)
  assert.equal(error.code, code)
  return error
}
