import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { DeleteObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { App, Stack } from 'aws-cdk-lib'
import type { PolicyStatement } from 'aws-cdk-lib/aws-iam'
import type { InjectOptions } from 'fastify'
import { pino } from 'pino'
import { createSqsClient } from '#shared/aws/clients.ts'
import { createQueue } from '#shared/aws/queue.ts'
import { readConfig } from '#shared/config.ts'
import { jobId, musicKey } from '#shared/contract/key.ts'
import { s3Notification } from '#shared/contract/s3-notification.ts'
import { openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { createResults } from '#shared/db/results.ts'
import { apiStatements, operatorStatements, workerStatements } from '../../cdk/permissions.ts'
import { namesOf } from '../../cdk/resource-names.ts'
import { createService, optionalSettings, serviceSettings } from '../../services/api/service.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { type Stack as LocalStack, startStack } from '../../services/local/stack.ts'
import { drawPicture } from '../picture.ts'
import { type Call, startRecordingProxy } from '../recording-proxy.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'
import { until } from '../until.ts'
import { testStage } from './synthesise.ts'

const dlqMain = fileURLToPath(new URL('../../services/dlq/main.ts', import.meta.url))
const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
const unavailable = { status: 503, body: { message: 'away' } }

let local: LocalStack
let proxy: Awaited<ReturnType<typeof startRecordingProxy>>
/** With every server reached by way of the proxy. */
let env: Record<string, string>
let folder: string

before(async () => {
  local = await startStack()
  proxy = await startRecordingProxy(local.env.AWS_ENDPOINT_URL!)
  folder = mkdtempSync(join(tmpdir(), 'permissions-'))
  const byProxy = (url: string) => new URL(new URL(url).pathname, proxy.endpoint).href
  const { QUEUE_URL, DLQ_URL } = local.env as { QUEUE_URL: string; DLQ_URL: string }
  const settings = { AWS_ENDPOINT_URL: proxy.endpoint, QUEUE_URL: byProxy(QUEUE_URL), DLQ_URL: byProxy(DLQ_URL) }
  env = { ...local.env, ...settings, PATH: process.env.PATH! }
  // Where the SDK looks that is not told.
  process.env.AWS_ACCESS_KEY_ID = credentials.accessKeyId
  process.env.AWS_SECRET_ACCESS_KEY = credentials.secretAccessKey
})

after(async () => {
  await proxy.stop()
  await local.close()
  rmSync(folder, { recursive: true })
})

test('a worker may do what the consumer does, and nothing else', async () => {
  const database = openDatabase({ url: env.DATABASE_URL!, tls: 'off' })
  const consumer = createConsumer({
    config: readConfig(consumerSettings, env),
    credentials,
    jobs: createJobs({ database }),
    inference: createStubInference(),
    words: promptWords,
    logger: pino({ level: 'silent' }),
    random: () => 0,
  })
  try {
    const results = createResults({ database, bucket: env.BUCKET! })
    const ended = (key: string) =>
      until(async () => {
        const found = await results.find({ key })
        return found && ['succeeded', 'failed'].includes(found.job.state)
      })
    // Music is there already: it is read.
    const etag = await put('uploads/composed.jpg', await drawPicture(1).jpeg().toBuffer())
    const id = jobId({ bucket: env.BUCKET!, key: 'uploads/composed.jpg', version: etag })
    await put(musicKey('uploads/composed.jpg', id), Buffer.alloc(44))
    await put('uploads/broken.jpg', Buffer.from('no picture'))
    // Named by its version, as in the bucket that is deployed.
    await put('uploads/versioned.jpg', await drawPicture(3).jpeg().toBuffer())
    await send({ key: 'uploads/versioned.jpg', versionId: 'v1' })
    // The bucket is away for a while, and looked for.
    proxy.answers.push(...Array.from({ length: 9 }, () => ({ action: 's3:GetObject', ...unavailable })))
    consumer.start()
    for (const name of ['composed', 'broken', 'versioned']) await ended(`uploads/${name}.jpg`)
    await consumer.queueDepths()
  } finally {
    await consumer.stop()
    await database.close()
  }
  check(workerStatements, proxy.calls.splice(0))
})

test('the API may do what it does, and sign what it hands out, and nothing else', async () => {
  const settings = { ...env, AUTH: 'none', LOG_LEVEL: 'silent' }
  const { app, close } = await createService(readConfig(serviceSettings, settings, optionalSettings))
  /** As a client does after what the API refuses on a busy machine. */
  const ask = (request: InjectOptions | string) =>
    until(async () => {
      const answer = await app.inject(request)
      return answer.statusCode !== 503 && answer
    })
  try {
    await ask('/readyz')
    await ask('/v1/results/uploads/unknown.jpg')
    await ask('/v1/results/uploads/unknown.jpg?version=v2')
    const generation = { key: 'uploads/composed.jpg' }
    await ask({ method: 'POST', url: '/v1/generations', payload: generation })
    // What is signed is done by clients, with the rights of who signed.
    const payload = { content_type: 'image/jpeg', size_bytes: 3, method: 'PUT' }
    const { upload } = (await ask({ method: 'POST', url: '/v1/uploads', payload })).json()
    await fetch(upload.url, { method: 'PUT', headers: upload.headers, body: 'abc' })
    for (const picture of ['composed.jpg?', 'versioned.jpg?version=v1&']) {
      const url = `/v1/results/uploads/${picture}music_url=presigned&image_url=presigned`
      const { music_url, image_url } = (await ask(url)).json()
      for (const presigned of [music_url, image_url]) await fetch(presigned)
    }
    const { queue, dead_letters: dead } = (await ask('/v1/operations')).json()
    for (const { visible } of [queue, dead]) assert.equal(typeof visible, 'number')
    // Left by the consumer: one is given back, and then sent again.
    await ask('/v1/dead-letters')
    const replay = { code: ['IMAGE_UNSUPPORTED_TYPE'], dry_run: false }
    const { letters } = (await ask({ method: 'POST', url: '/v1/replays', payload: replay })).json()
    assert.deepEqual(
      letters.map(({ outcome }: { outcome: string }) => outcome),
      ['replayed'],
    )
  } finally {
    await close()
  }
  check((names) => apiStatements(names, { secrets: [] }).slice(0, -1), proxy.calls.splice(0))
})

test('an operator may do what npm run dlq does, and nothing else', async () => {
  const body = s3Notification({ ...created, key: 'uploads/gone.jpg', etag: 'e'.repeat(32) })
  const sqs = createSqsClient({ region: env.AWS_REGION!, endpoint: local.env.AWS_ENDPOINT_URL, credentials })
  // Both ways round: into the dead-letter queue.
  const deadLetters = createQueue({ sqs, queueUrl: local.env.DLQ_URL!, dlqUrl: local.env.QUEUE_URL! })
  try {
    await deadLetters.send(body)
    await run('list')
    await run('replay', '--all', '--yes', '--audit', join(folder, 'audit.jsonl'))
    await deadLetters.send(body)
    await run('export', '--all', '--out', join(folder, 'letters.jsonl'))
    await run('purge', '--all', '--yes', '--audit', join(folder, 'audit.jsonl'))
    await run('import', join(folder, 'letters.jsonl'), '--yes', '--audit', join(folder, 'audit.jsonl'))
    await moveAndInterrupt()
  } finally {
    sqs.destroy()
  }
  // A picture without a job, music without a job, and a job of a version by number whose music is gone.
  await put('uploads/forgotten.jpg', await drawPicture(2).jpeg().toBuffer())
  await put('generated/nobody.jpg/0123456789abcdef0123456789abcdef.wav', Buffer.alloc(44))
  const id = jobId({ bucket: env.BUCKET!, key: 'uploads/versioned.jpg', version: 'v1' })
  const music = { Bucket: env.BUCKET, Key: musicKey('uploads/versioned.jpg', id) }
  await local.s3.send(new DeleteObjectCommand(music))
  await run('reconcile', '--older-than', '0s', '--verify-bytes', '--delete-orphan-music', '--yes')
  check(operatorStatements, proxy.calls.splice(0))
})

const created = {
  bucket: 'promenade-local',
  region: 'us-east-1',
  size: 10,
  sequencer: '0055AED6DCD90281E5',
  eventTime: '2026-01-02T03:04:05.678Z',
  principal: 'test',
  requestId: 'test',
}

async function put(key: string, body: Buffer): Promise<string> {
  const { ETag } = await local.s3.send(new PutObjectCommand({ Bucket: env.BUCKET, Key: key, Body: body }))
  return ETag!.replaceAll('"', '')
}

async function send(object: { key: string; versionId: string }): Promise<void> {
  const sqs = createSqsClient({ region: env.AWS_REGION!, endpoint: local.env.AWS_ENDPOINT_URL, credentials })
  const queue = createQueue({ sqs, queueUrl: local.env.QUEUE_URL!, dlqUrl: local.env.DLQ_URL! })
  await queue.send(s3Notification({ ...created, ...object, etag: 'f'.repeat(32) })).finally(() => sqs.destroy())
}

async function run(...args: string[]): Promise<void> {
  const child = spawn(process.execPath, [dlqMain, ...args], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  assert.notEqual(status, 2, `${args.join(' ')}: ${stderr}`)
}

/** Of SQS's own moving the local server has nothing: the proxy says that a task runs, until it is canceled. */
async function moveAndInterrupt(): Promise<void> {
  const task = { Status: 'RUNNING', StartedTimestamp: 2, TaskHandle: 'task-1', ApproximateNumberOfMessagesMoved: 0 }
  const list = (Results: object[]) => ({ action: 'sqs:ListMessageMoveTasks', status: 200, body: { Results } })
  proxy.answers.push(
    { action: 'sqs:StartMessageMoveTask', status: 200, body: { TaskHandle: 'task-1' } },
    list([]),
    list([task]),
    list([task]),
    { action: 'sqs:CancelMessageMoveTask', status: 200, body: { ApproximateNumberOfMessagesMoved: 0 } },
    list([{ ...task, Status: 'CANCELLED' }]),
  )
  const args = [dlqMain, 'replay', '--all', '--native', '--yes', '--audit', join(folder, 'audit.jsonl')]
  const child = spawn(process.execPath, args, { env, stdio: 'ignore' })
  const exit = once(child, 'exit')
  await until(async () => proxy.calls.some(({ action }) => action === 'sqs:ListMessageMoveTasks'))
  await sleep(500)
  child.kill('SIGINT')
  await exit
}

/** That each call is allowed, and each action of each statement was called. */
function check(statementsOf: (names: ReturnType<typeof namesOf>) => PolicyStatement[], calls: Call[]): void {
  const stage = testStage({ account: '123456789012' })
  const names = namesOf(stage)
  const stack = new Stack(new App())
  const deployed = new Map([
    ['promenade-local', names.bucket.arn],
    ['promenade-uploads', names.uploads.arn],
    ['promenade-uploads-dlq', names.deadLetters.arn],
    ['', names.deadLetters.arn],
  ])
  const unused = new Set<string>()
  const statements = statementsOf(names).map((statement) => {
    const { Sid, Action, Resource } = stack.resolve(statement.toStatementJson())
    const actions: string[] = [Action].flat()
    for (const action of actions) unused.add(`${Sid} ${action}`)
    return { sid: Sid as string, actions, resource: textOf(Resource) }
  })
  for (const { action, resource } of calls) {
    const [name = '', ...key] = resource.split('/')
    const arn = [textOf(stack.resolve(deployed.get(name))), ...key].join('/')
    const allowing = statements.filter(({ actions, resource }) => actions.includes(action) && matches(resource, arn))
    assert.ok(allowing.length > 0, `${action} on ${arn} is not allowed`)
    for (const { sid } of allowing) unused.delete(`${sid} ${action}`)
  }
  assert.deepEqual([...unused], [], 'what is allowed is used')
}

function matches(pattern: string, arn: string): boolean {
  return pattern.endsWith('*') ? arn.startsWith(pattern.slice(0, -1)) : arn === pattern
}

/** Of an ARN with its partition still open. */
function textOf(value: string | { 'Fn::Join': [string, (string | object)[]] }): string {
  if (typeof value === 'string') return value
  return value['Fn::Join'][1].map((part) => (typeof part === 'string' ? part : 'aws')).join('')
}
