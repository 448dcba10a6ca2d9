import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs'
import { pino } from 'pino'
import Value from 'typebox/value'
import { createSqsClient } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { createQueue } from '#shared/aws/queue.ts'
import { readConfig } from '#shared/config.ts'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import { Problem, Result } from '#shared/contract/result.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { createOrders } from '#shared/db/orders.ts'
import { createResults } from '#shared/db/results.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { createApp } from '../../services/api/app.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { apiOptions } from '../api-options.ts'
import { badPictures, drawPicture } from '../picture.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts'
import { until } from '../until.ts'
import { userMessageFault } from '../user-message.ts'

const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
const maxAttempts = 2

/** What a message is about when no picture is put. */
const gone = { bucket: 'promenade-local', key: 'uploads/IMAGE_NOT_FOUND' }

/** How each code comes about, if a job or a message can end with it. A code without an entry does not compile. */
const cases: Record<ErrorCode, Case> = {
  IMAGE_NOT_FOUND: { kind: 'permanent', send: notificationOf(gone) },
  IMAGE_TOO_LARGE: { kind: 'permanent', put: async () => Buffer.alloc(300_001) },
  IMAGE_TOO_MANY_PIXELS: { kind: 'permanent', put: badPictures['bomb.png']!.make },
  IMAGE_UNSUPPORTED_TYPE: { kind: 'permanent', put: badPictures['drawing.svg']!.make },
  IMAGE_CORRUPT: { kind: 'permanent', put: badPictures['truncated.jpg']!.make },
  IMAGE_EMPTY: { kind: 'permanent', put: badPictures['empty.jpg']!.make },
  MESSAGE_UNREADABLE: { kind: 'message', send: 'hello' },
  MESSAGE_FOREIGN_BUCKET: { kind: 'message', send: notificationOf({ bucket: 'foreign', key: 'uploads/a b.jpg' }) },
  GENERATION_FAILED: {
    kind: 'counted',
    inference: {
      compose: async () => {
        throw new Error('no kernel in /opt/models/decoder.onnx')
      },
    },
  },
  MODEL_UNAVAILABLE: {
    kind: 'outage',
    inference: (isAway) => ({
      ping: async () => failWhile(isAway),
      classify: async (...args) => {
        await failWhile(isAway)
        return createStubInference().classify(...args)
      },
    }),
  },
  STORAGE_UNAVAILABLE: { kind: 'outage', takeAway: () => s3.takeAway(), bringBack: () => s3.bringBack() },
  DATABASE_UNAVAILABLE: { kind: 'outage', takeAway: () => wire.hold(), bringBack: () => wire.pass() },
  CANCELED: { kind: 'canceled' },
  UNAUTHORIZED: { kind: 'of the API' },
  FORBIDDEN: { kind: 'of the API' },
  RATE_LIMITED: { kind: 'of the API' },
  INVALID_REQUEST: { kind: 'of the API' },
  RESULT_NOT_FOUND: { kind: 'of the API' },
  CONFLICT: { kind: 'of the API' },
  INTERNAL_ERROR: { kind: 'of the API' },
  OVERLOADED: { kind: 'of the API' },
  TIMEOUT: { kind: 'of the API' },
}

type Case =
  | { kind: 'permanent'; put: () => Promise<Buffer> }
  | { kind: 'permanent'; send: string }
  | { kind: 'message'; send: string }
  | { kind: 'counted'; inference: Partial<Inference> }
  | { kind: 'outage'; inference: (isAway: () => boolean) => Partial<Inference> }
  | { kind: 'outage'; takeAway: () => void; bringBack: () => void }
  | { kind: 'canceled' | 'of the API' }

let stack: Stack
/** To the database, for the consumer and the API. */
let wire: TcpProxy
let s3: Awaited<ReturnType<typeof startS3Proxy>>
let sqs: SQSClient
let distant: Database
let jobs: Jobs
let app: Awaited<ReturnType<typeof createApp>>

before(async () => {
  stack = await startStack()
  const { AWS_REGION: region, AWS_ENDPOINT_URL: endpoint, BUCKET: bucket } = stack.env as Record<string, string>
  assert.equal(bucket, gone.bucket)
  sqs = createSqsClient({ region: region!, endpoint, credentials })
  s3 = await startS3Proxy(endpoint!)
  const url = new URL(stack.env.DATABASE_URL!)
  wire = await startTcpProxy(Number(url.port))
  url.port = String(wire.port)
  distant = openDatabase({ url: url.href, tls: 'off', timeoutSeconds: 0.3 })
  jobs = createJobs({ database: distant })
  const objects = createObjectStore({ s3: stack.s3, bucket: bucket! })
  const results = createResults({ database: distant, bucket: bucket! })
  const orders = createOrders({ database: distant, bucket: bucket! })
  app = await createApp(apiOptions({ results, orders, objects, database: distant, bucket: bucket!, endpoint }))
})

after(async () => {
  await app?.close()
  await distant?.close()
  await wire?.close()
  await s3?.close()
  sqs?.destroy()
  await stack?.close()
})

for (const [name, each] of Object.entries(cases)) {
  const code = name as ErrorCode
  const { kind } = each
  if (kind === 'permanent') {
    test(`${code} ends a job at once, in the row, the dead letter and the poll`, async () => {
      await withConsumer({}, async () => {
        if ('send' in each) await send(each.send)
        else await put(code, await each.put())
        await until(async () => (await poll(code)).body.status === 'failed')
        await drained()
      })
      assertFailed(await poll(code), { code, retryable: false, attempt: 1 })
      await assertDeadLetter({ code, attempts: '1', key: `uploads/${code}` })
    })
  } else if (kind === 'message') {
    test(`${code} dead-letters a message at once, and begins no job`, async () => {
      await withConsumer({}, async () => {
        await send(each.send)
        await drained()
      })
      const key = code === 'MESSAGE_FOREIGN_BUCKET' ? 'uploads/a b.jpg' : undefined
      await assertDeadLetter({ code, attempts: '1', key })
      if (key) assert.equal((await app.inject(`/v1/results/${encodeURIComponent(key)}`)).statusCode, 404)
    })
  } else if (kind === 'counted') {
    test(`${code} ends a job after its last try, and until then the poll has it unfinished`, async () => {
      const isFirst = Promise.withResolvers<void>()
      const mayGoOn = Promise.withResolvers<void>()
      // The second try waits for the poll.
      let tries = 0
      const compose: Inference['compose'] = async (...args) => {
        if (++tries === 2) {
          isFirst.resolve()
          await mayGoOn.promise
        }
        return each.inference.compose!(...args)
      }
      await withConsumer({ inference: { compose } }, async () => {
        await put(code, await goodPicture())
        await isFirst.promise
        const meanwhile = await poll(code)
        assert.equal(meanwhile.body.error, undefined)
        assert.deepEqual([meanwhile.body.status, meanwhile.body.attempt], ['processing', 2])
        assert.ok(meanwhile.headers['retry-after'])
        mayGoOn.resolve()
        await until(async () => (await poll(code)).body.status === 'failed')
        await drained()
      })
      assertFailed(await poll(code), { code, retryable: true, attempt: maxAttempts })
      await assertDeadLetter({ code, attempts: String(maxAttempts), key: `uploads/${code}` })
    })
  } else if (kind === 'canceled') {
    test(`${code} ends a job that is worked on, in the row and the poll, and nothing is dead-lettered`, async () => {
      const compose: Inference['compose'] = (_clip, { signal }) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
      await withConsumer({ inference: { compose } }, async () => {
        await put(code, await goodPicture())
        await until(async () => (await poll(code)).body.stage === 'composing')
        const payload = { key: `uploads/${code}` }
        const canceled = await app.inject({ method: 'POST', url: '/v1/cancellations', payload })
        assert.equal(canceled.statusCode, 200)
        await drained()
      })
      const polled = await poll(code)
      const { status, headers, body } = polled
      assert.deepEqual([status, body.status, headers['retry-after']], [200, 'canceled', undefined])
      assert.deepEqual(Value.Errors(Result, body), [])
      const { message, ...rest } = body.error
      assert.deepEqual(rest, { code, retryable: false })
      assert.equal(userMessageFault(message), undefined, message)
      assert.deepEqual(await takeDeadLetters(), [])
    })
  } else if (kind === 'outage') {
    test(`${code} ends no job: until it is over the poll has it unfinished, or cannot tell`, async () => {
      let isAway = true
      const inference = 'inference' in each ? each.inference(() => isAway) : {}
      const heard: string[] = []
      await withConsumer({ inference, hear: (logged) => heard.push(logged) }, async () => {
        if ('takeAway' in each) each.takeAway()
        try {
          await put(code, await goodPicture())
          // Longer than all the tries that a job may have.
          await until(async () => heard.filter((logged) => logged === code).length > maxAttempts)
          const { status, headers, body } = await poll(code)
          if (code === 'DATABASE_UNAVAILABLE') {
            assert.deepEqual(Value.Errors(Problem, body), [])
            assert.deepEqual([status, body.code], [errorCodes[code].status, code])
          } else {
            assert.deepEqual([status, body.error], [200, undefined])
            // Back on the queue, or in one of the tries, none of which counts.
            assert.match(body.status, /^(queued|processing)$/)
            assert.ok(body.attempt <= 1)
          }
          assert.ok(headers['retry-after'])
        } finally {
          isAway = false
          if ('bringBack' in each) each.bringBack()
        }
        await until(async () => (await poll(code)).body.status === 'succeeded')
        await drained()
      })
      const { body } = await poll(code)
      assert.deepEqual([body.status, body.attempt, body.error], ['succeeded', 1, undefined])
      assert.deepEqual(await takeDeadLetters(), [])
    })
  }
}

interface Polled {
  status: number
  headers: Record<string, unknown>
  // biome-ignore lint/suspicious/noExplicitAny: read by the assertions
  body: any
}

function assertFailed(
  { status, headers, body }: Polled,
  { code, retryable, attempt }: { code: ErrorCode; retryable: boolean; attempt: number },
): void {
  assert.equal(status, 200)
  assert.deepEqual(Value.Errors(Result, body), [])
  assert.deepEqual([body.status, body.attempt, headers['retry-after']], ['failed', attempt, undefined])
  const { message, ...rest } = body.error
  assert.deepEqual(rest, { code, retryable })
  assert.equal(userMessageFault(message), undefined, message)
}

async function assertDeadLetter(expected: { code: ErrorCode; attempts: string; key: string | undefined }) {
  const { code, attempts, key } = expected
  const [letter, ...others] = await takeDeadLetters()
  assert.deepEqual(others, [])
  assert.deepEqual([letter?.reason_code, letter?.attempts], [code, attempts])
  assert.equal(letter?.image_key && decodeURIComponent(letter.image_key), key)
  assert.ok(letter?.reason && !letter.reason.includes('\n'))
  assert.ok(Date.parse(letter.failed_at!) <= Date.now())
}

async function withConsumer(
  { inference, hear }: { inference?: Partial<Inference>; hear?: (code: string) => void },
  use: () => Promise<void>,
): Promise<void> {
  const env = {
    ...stack.env,
    AWS_ENDPOINT_URL: s3.address,
    MAX_IMAGE_BYTES: '300000',
    MAX_ATTEMPTS: String(maxAttempts),
  }
  const consumer = createConsumer({
    config: readConfig(consumerSettings, { ...env, MUSIC_SECONDS: '0.1', GRACE_SECONDS: '2' }),
    credentials,
    jobs,
    inference: { ...createStubInference(), ...inference },
    words: promptWords,
    logger: pino({}, { write: (line) => hear?.(JSON.parse(line).code) }),
    // No wait between two tries.
    random: () => -1,
  })
  consumer.start()
  try {
    await use()
  } finally {
    await consumer.stop()
  }
}

/** The wire to the emulator; while S3 is away, SQS is not. */
async function startS3Proxy(target: string) {
  let isAway = false
  const server = createServer((incoming, outgoing) => {
    if (isAway && !incoming.headers['x-amz-target']) {
      incoming.resume()
      outgoing.writeHead(503).end()
      return
    }
    const { method, headers } = incoming
    const forwarded = request(new URL(incoming.url!, target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(outgoing)
    })
    forwarded.on('error', () => outgoing.destroy())
    outgoing.on('close', () => forwarded.destroy())
    incoming.pipe(forwarded)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    takeAway(): void {
      isAway = true
    },
    bringBack(): void {
      isAway = false
    },
    async close(): Promise<void> {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function failWhile(isAway: () => boolean): Promise<void> {
  if (isAway()) throw new RetryableFailure('MODEL_UNAVAILABLE', 'the models are being loaded')
}

function notificationOf({ bucket, key }: { bucket: string; key: string }): string {
  const object = { key: encodeURIComponent(key), size: 1, eTag: 'e1', sequencer: '0A' }
  const record = { eventVersion: '2.1', eventSource: 'aws:s3', eventName: 'ObjectCreated:Put' }
  return JSON.stringify({
    Records: [{ ...record, eventTime: '2026-01-02T03:04:05.678Z', s3: { bucket: { name: bucket }, object } }],
  })
}

function goodPicture(): Promise<Buffer> {
  return drawPicture(1, { width: 64, height: 48 }).jpeg().toBuffer()
}

/** Uploads past whatever is away. */
async function put(code: ErrorCode, body: Buffer): Promise<void> {
  await stack.s3.send(new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: `uploads/${code}`, Body: body }))
}

async function send(body: string): Promise<void> {
  await sqs.send(new SendMessageCommand({ QueueUrl: stack.env.QUEUE_URL, MessageBody: body }))
}

async function poll(code: ErrorCode): Promise<Polled> {
  const { statusCode: status, headers, body } = await app.inject(`/v1/results/uploads/${code}`)
  return { status, headers, body: JSON.parse(body) }
}

async function drained(): Promise<void> {
  const queue = createQueue({ sqs, queueUrl: stack.env.QUEUE_URL!, dlqUrl: stack.env.DLQ_URL! })
  await until(async () => {
    const { visible, inFlight } = await queue.depth()
    return visible + inFlight === 0
  })
}

/** The attributes of each. */
async function takeDeadLetters(): Promise<Record<string, string | undefined>[]> {
  const letters: Record<string, string | undefined>[] = []
  for (;;) {
    const { Messages: [message] = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: stack.env.DLQ_URL, MessageAttributeNames: ['All'] }),
    )
    if (!message) return letters
    const attributes = Object.entries(message.MessageAttributes ?? {})
    letters.push(Object.fromEntries(attributes.map(([name, { StringValue }]) => [name, StringValue])))
    await sqs.send(new DeleteMessageCommand({ QueueUrl: stack.env.DLQ_URL, ReceiptHandle: message.ReceiptHandle }))
  }
}
