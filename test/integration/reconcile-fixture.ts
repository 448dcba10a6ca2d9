import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, beforeEach } from 'node:test'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { PurgeQueueCommand, ReceiveMessageCommand, SendMessageCommand, type SQSClient } from '@aws-sdk/client-sqs'
import { Command } from 'commander'
import { eq, like } from 'drizzle-orm'
import { pino } from 'pino'
import { createSqsClient } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { createQueue } from '#shared/aws/queue.ts'
import { readConfig } from '#shared/config.ts'
import { musicKey } from '#shared/contract/key.ts'
import { s3Notification } from '#shared/contract/s3-notification.ts'
import { takeOrderOf } from '#shared/contract/take-order.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobInventory } from '#shared/db/job-inventory.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { createOrders, type Orders } from '#shared/db/orders.ts'
import { createResults, type FoundJob, type Results } from '#shared/db/results.ts'
import { artAnalysis, jobs as jobsTable } from '#shared/db/schema.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import { readWav } from '../../services/consumer/audio/wav.ts'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { createOrphans, type Orphan } from '../../services/dlq/orphans.ts'
import { addReconcile } from '../../services/dlq/reconcile.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'
import { until } from '../until.ts'

// Each file of tests that imports this has a stack of its own.
export const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }
/** Nothing in a test is old. */
export const atOnce = ['--older-than', '0s', '--rate', '10000']

export let stack: Stack
let sqs: SQSClient
export let database: Database
export let jobs: Jobs
export let results: Results
export let orders: Orders
export let picture: Buffer
export let composed = 0

before(async () => {
  stack = await startStack()
  sqs = createSqsClient({ region: stack.env.AWS_REGION!, endpoint: stack.env.AWS_ENDPOINT_URL, credentials })
  database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  jobs = createJobs({ database })
  results = createResults({ database, bucket: stack.env.BUCKET! })
  orders = createOrders({ database, bucket: stack.env.BUCKET! })
  picture = await draw(1)
  process.env.AWS_ACCESS_KEY_ID = credentials.accessKeyId
  process.env.AWS_SECRET_ACCESS_KEY = credentials.secretAccessKey
})

after(async () => {
  await database?.close()
  sqs?.destroy()
  await stack?.close()
})

beforeEach(() => {
  composed = 0
})

interface Line {
  kind: string
  key: string
  version: string
  outcome: string
}

/** Runs the command in this process. */
export async function reconcile(
  args: string[],
  { json = true, env, signal }: { json?: boolean; env?: Record<string, string>; signal?: AbortSignal } = {},
) {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const program = new Command('dlq')
  let status = 0
  addReconcile(program, {
    env: { ...stack.env, ...env },
    stdout,
    stderr,
    signal: signal ?? new AbortController().signal,
    setExitCode: (code) => {
      status = code
    },
  })
  const silent = { writeErr: () => {} }
  for (const command of [program, ...program.commands]) {
    command.exitOverride().allowExcessArguments(false).configureOutput(silent)
  }
  const outputs = [text(stdout), text(stderr)] as const
  try {
    await program.parseAsync(['reconcile', ...args, ...(json ? ['--json'] : [])], { from: 'user' })
  } finally {
    stdout.end()
    stderr.end()
  }
  const [output, said] = await Promise.all(outputs)
  const orphans: Line[] = json ? parseLines(output) : []
  const count = (outcome: string) => orphans.filter((each) => each.outcome === outcome).length
  return { status, stdout: output, stderr: said, orphans, count }
}

/** What a run finds that has not mended it yet. */
export async function orphansOf(prefix: string, objects: Partial<ReturnType<typeof createObjectStore>> = {}) {
  const bucket = stack.env.BUCKET!
  const { searches } = createOrphans({
    objects: { ...createObjectStore({ s3: stack.s3, bucket }), ...objects },
    inventory: createJobInventory({ database, bucket }),
    announce: (assignment) =>
      send('take' in assignment ? takeOrderOf(assignment) : s3Notification({ ...assignment, region: 'r', ...local })),
    bucket,
    prefix,
    olderThanSeconds: 0,
    verifyBytes: false,
    deleteMusic: false,
    now: Date.now,
    signal: new AbortController().signal,
  })
  const found: Orphan[] = []
  for (const search of searches) for await (const orphans of search()) found.push(...orphans)
  return found
}

function parseLines(lines: string): Line[] {
  return lines
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

export function kindsByKey(orphans: Line[]): Record<string, string> {
  return Object.fromEntries(orphans.map(({ key, kind, outcome }) => [key, `${kind} ${outcome}`]))
}

export const local = { principal: 'test', requestId: 'R' }

interface ConsumeOptions {
  env?: Record<string, string>
  inference?: Partial<Inference>
}

/** Runs a consumer until the queue is empty. */
export async function consume({ env, inference }: ConsumeOptions = {}): Promise<void> {
  const stub = createStubInference()
  const consumer = createConsumer({
    config: readConfig(consumerSettings, {
      ...stack.env,
      MUSIC_SECONDS: '0.1',
      GRACE_SECONDS: '2',
      LEASE_SECONDS: '3',
      ...env,
    }),
    credentials,
    jobs,
    inference: {
      ...stub,
      compose: async (clip, options) => {
        composed++
        return stub.compose(clip, options)
      },
      ...inference,
    },
    words: promptWords,
    logger: pino({ enabled: false }),
  })
  consumer.start()
  try {
    await until(async () => (await depth()) === 0)
  } finally {
    await consumer.stop()
  }
}

export async function draw(seed: number): Promise<Buffer> {
  return drawPicture(seed, { width: 32, height: 24 }).jpeg().toBuffer()
}

export async function upload(key: string, body = picture, s3: S3Client = stack.s3): Promise<void> {
  await s3.send(new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: key, Body: body }))
}

export async function remove(key: string): Promise<void> {
  await stack.s3.send(new DeleteObjectCommand({ Bucket: stack.env.BUCKET, Key: key }))
}

export async function list(prefix: string): Promise<string[]> {
  const { Contents = [] } = await stack.s3.send(new ListObjectsV2Command({ Bucket: stack.env.BUCKET, Prefix: prefix }))
  return Contents.map(({ Key }) => Key!)
}

export async function send(body: string): Promise<void> {
  await sqs.send(new SendMessageCommand({ QueueUrl: stack.env.QUEUE_URL, MessageBody: body }))
}

/** The body of the one message on the queue, which is then empty. */
export async function takeEvent(): Promise<string> {
  const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: stack.env.QUEUE_URL, WaitTimeSeconds: 5 }))
  await purge()
  return Messages![0]!.Body!
}

export async function arrived(count: number): Promise<void> {
  await until(async () => (await depth()) >= count)
}

/** As if S3 had never sent them. */
export async function lose(count: number): Promise<void> {
  await arrived(count)
  await purge()
}

export async function purge(): Promise<void> {
  await sqs.send(new PurgeQueueCommand({ QueueUrl: stack.env.QUEUE_URL }))
}

export async function depth(): Promise<number> {
  const { QUEUE_URL: queueUrl, DLQ_URL: dlqUrl } = stack.env
  const { visible, inFlight } = await createQueue({ sqs, queueUrl: queueUrl!, dlqUrl: dlqUrl! }).depth()
  return visible + inFlight
}

export async function find(key: string): Promise<FoundJob> {
  return (await results.find({ key })) ?? assert.fail(`no job for ${key}`)
}

export async function set(id: string, columns: Record<string, unknown>): Promise<void> {
  await database.run((db) => db.update(jobsTable).set(columns).where(eq(jobsTable.id, id)))
}

export async function rowsUnder(prefix: string) {
  return database.run((db) =>
    db
      .select({ job: jobsTable, sha256: artAnalysis.musicSha256 })
      .from(jobsTable)
      .leftJoin(artAnalysis, eq(artAnalysis.jobId, jobsTable.id))
      .where(like(jobsTable.imageKey, `${prefix}%`)),
  )
}

/** Each picture has one row and one WAV, with the bytes and the words that the row tells of. */
export async function assertWhole(keys: string[]): Promise<void> {
  for (const key of keys) {
    const { job, analysis } = await find(key)
    assert.equal(job.state, 'succeeded', `${key}: ${job.errorMessage}`)
    assert.equal(await database.run((db) => db.$count(artAnalysis, eq(artAnalysis.jobId, job.id))), 1)
    const { Body: body } = await stack.s3.send(
      new GetObjectCommand({ Bucket: stack.env.BUCKET, Key: musicKey(key, job.id) }),
    )
    const wav = Buffer.from(await body!.transformToByteArray())
    const { seconds, comment } = readWav(wav)!
    const sha256 = createHash('sha256').update(wav).digest('hex')
    assert.deepEqual([analysis!.musicBytes, analysis!.musicSha256], [wav.length, sha256], key)
    const { durationSeconds, prompt, seed, musicModel: model, musicModelRevision: revision } = analysis!
    assert.deepEqual([durationSeconds, { prompt, seed, model, revision }], [seconds, JSON.parse(comment!)], key)
  }
}
