import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { PurgeQueueCommand, type SQSClient } from '@aws-sdk/client-sqs'
import { and, eq, like } from 'drizzle-orm'
import { createSqsClient } from '#shared/aws/clients.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { jobs } from '#shared/db/schema.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { type ConsumerSlot, createConsumerSlot } from '../faults/consumer.ts'
import { services } from '../faults/plan.ts'
import { complaints } from '../faults/run.ts'
import { runScenario } from '../faults/scenario.ts'
import { drawPicture } from '../picture.ts'
import { buildTinyModels } from '../tiny-models.ts'
import { until } from '../until.ts'

let stack: Stack
let modelDir: string
let logDir: string
let database: Database
let sqs: SQSClient

before(async () => {
  ;[stack, modelDir, logDir] = await Promise.all([
    startStack(),
    buildTinyModels(),
    mkdtemp(join(tmpdir(), 'promenade-test-')),
  ])
  database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  const { AWS_REGION, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = stack.env
  const credentials = { accessKeyId: AWS_ACCESS_KEY_ID!, secretAccessKey: AWS_SECRET_ACCESS_KEY! }
  sqs = createSqsClient({ region: AWS_REGION!, endpoint: AWS_ENDPOINT_URL, credentials })
})

after(async () => {
  await database?.close()
  sqs?.destroy()
  await stack?.close()
  for (const folder of [modelDir, logDir]) await rm(folder, { recursive: true })
})

for (const service of services) {
  test(`while ${service} hangs, SIGTERM ends a consumer in the midst of work in time and with status 0`, async () => {
    assert.deepEqual(
      await inTheMidst(service, async (slot) => {
        slot.partition(service, 'hang')
        await sleep(300)
        await slot.terminate()
      }),
      [],
    )
  })
}

test('when a consumer is killed, the processes that it has started end by themselves and without a word', async () => {
  assert.deepEqual(await inTheMidst('killed', (slot) => slot.kill(false)), [])
})

/** What is wrong about a consumer whose every slot is composing when it happens. */
async function inTheMidst(name: string, happen: (slot: ConsumerSlot) => Promise<void>): Promise<string[]> {
  const violations: string[] = []
  const slot = await createConsumerSlot({
    name,
    env: { ...stack.env, MODEL_DIR: modelDir, MUSIC_SECONDS: '30', LEASE_SECONDS: '10', METRICS_PORT: '0' },
    graceSeconds: 2,
    logDir,
    onViolation: (what) => violations.push(what),
  })
  try {
    // Of what the last test has left.
    await sqs.send(new PurgeQueueCommand({ QueueUrl: stack.env.QUEUE_URL }))
    await slot.start()
    const Body = await drawPicture(1).jpeg().toBuffer()
    for (const index of [1, 2, 3, 4]) {
      await stack.s3.send(new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: `uploads/${name} ${index}`, Body }))
    }
    await until(async () => (await countComposing(name)) === 4)
    await happen(slot)
  } finally {
    await slot.close()
  }
  return [...violations, ...complaints(name, await readFile(slot.logFile, 'utf8'))]
}

async function countComposing(name: string): Promise<number> {
  const isComposing = and(eq(jobs.stage, 'composing'), like(jobs.imageKey, `uploads/${name} %`))
  return database.run((db) => db.$count(jobs, isComposing))
}

test('a short run of every kind of fault loses nothing and does nothing twice', async () => {
  const said: string[] = []
  const report = await runScenario({ scenario: 'chaos', seconds: 10, seed: 1, say: (line) => said.push(line) })
  assert.deepEqual(report.violations, [], said.join('\n'))
  assert.ok(report.succeeded > 0 && Object.keys(report.failed).length > 0)
  assert.deepEqual([report.duplicates, report.lost], [0, 0])
})
