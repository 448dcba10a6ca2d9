import { join } from 'node:path'
import type { FauxqsServer } from 'fauxqs'
import { createS3Client } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import type { Config } from '#shared/config.ts'
import { uploadsPrefix } from '#shared/contract/key.ts'
import { databaseAddress, type databaseSettings } from '#shared/db/connection.ts'
import { migrate } from '#shared/db/migrate.ts'
import { createBridge } from './bridge.ts'
import { startDatabase } from './database.ts'
import { region, startEmulator } from './emulator.ts'

const bucket = 'promenade-local'
const queueName = 'promenade-uploads'
const dlqName = 'promenade-uploads-dlq'
const day = 24 * 60 * 60
/** As on AWS, where receives also count what is nobody's failure, a stop or an outage, and SQS gives no reason. */
const maxReceiveCount = 1_000
const credentials = { accessKeyId: 'local', secretAccessKey: 'local' }

interface StackOptions {
  /** Keeps objects, messages and the database here; without it they go when the stack does. */
  stateDir?: string | undefined
  /** Another database than a private one. */
  database?: DatabaseSettings | undefined
  onError?: (error: unknown) => void
}

export type DatabaseSettings = Config<(typeof databaseSettings)[number]>

export type Stack = Awaited<ReturnType<typeof startStack>>

/**
 * Starts S3, SQS and the database on free loopback ports: bucket, queue and dead-letter queue are there, uploads are
 * announced on the queue, and the database has its tables. `env` holds the settings with which the services find them;
 * `server` is that of the private database.
 */
export async function startStack({ stateDir, database, onError = reportWarning }: StackOptions = {}) {
  const closers: (() => Promise<void>)[] = []
  let closing: Promise<void> | undefined
  const close = () => {
    closing ??= closeAll(closers)
    return closing
  }
  try {
    const aws = await startAws()
    const server = database ? undefined : await startPrivateDatabase()
    const settings = database ?? { DATABASE_URL: server!.url, DATABASE_TLS: 'off' }
    await migrate(await databaseAddress(settings))
    return { ...aws, server, env: { ...aws.env, ...settings } as Record<string, string>, close }
  } catch (error) {
    await close()
    throw error
  }

  async function startPrivateDatabase() {
    const server = await startDatabase({ dir: stateDir && join(stateDir, 'database') })
    closers.push(server.close)
    return server
  }

  async function startAws() {
    const emulator = await startEmulator({ dir: stateDir && join(stateDir, 'aws') })
    closers.push(() => emulator.stop())
    const { queueUrl, dlqUrl } = createResources(emulator)
    const s3 = createS3Client({ region, endpoint: emulator.address, credentials })
    closers.push(async () => s3.destroy())
    const objects = createObjectStore({ s3, bucket })
    const bridge = createBridge({
      spy: emulator.spy,
      bucket,
      region,
      prefix: uploadsPrefix,
      head: (key) => objects.head(key, AbortSignal.timeout(10_000)),
      send: (body) => emulator.sendMessage(queueName, body),
      onError,
    })
    closers.push(bridge.close)
    const env = {
      AWS_REGION: region,
      AWS_ENDPOINT_URL: emulator.address,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      BUCKET: bucket,
      QUEUE_URL: queueUrl,
      DLQ_URL: dlqUrl,
    }
    return { s3, env }
  }
}

/** Leaves alone what a kept state already has. */
function createResources(emulator: FauxqsServer): { queueUrl: string; dlqUrl: string } {
  emulator.setup({ buckets: [bucket] })
  const [dlq] = emulator.setup({
    queues: [{ name: dlqName, attributes: { MessageRetentionPeriod: String(14 * day) } }],
  }).queues
  const redrive = { deadLetterTargetArn: dlq!.arn, maxReceiveCount }
  const attributes = { MessageRetentionPeriod: String(4 * day), RedrivePolicy: JSON.stringify(redrive) }
  const [queue] = emulator.setup({ queues: [{ name: queueName, attributes }] }).queues
  // The emulator's own names for them are hosts that not every machine resolves; it reads the path alone.
  const onLoopback = (url: string) => new URL(new URL(url).pathname, emulator.address).href
  return { queueUrl: onLoopback(queue!.url), dlqUrl: onLoopback(dlq!.url) }
}

/** The last started ends first; all are tried, and the failures come together. */
async function closeAll(closers: (() => Promise<void>)[]): Promise<void> {
  const failures: unknown[] = []
  for (const close of closers.toReversed()) await close().catch((error: unknown) => failures.push(error))
  if (failures.length) throw new AggregateError(failures, 'the local stack did not stop cleanly')
}

function reportWarning(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error))
}
