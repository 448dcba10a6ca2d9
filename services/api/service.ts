import { createPresigningClient, createS3Client, createSqsClient } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { createPresigner } from '#shared/aws/presign.ts'
import { createQueueCounter, createQueueSender } from '#shared/aws/queue.ts'
import type { Config } from '#shared/config.ts'
import type { SettingName } from '#shared/contract/setting.ts'
import { openDatabase } from '#shared/db/client.ts'
import { databaseAddress, databaseSettings } from '#shared/db/connection.ts'
import { createConsumers } from '#shared/db/consumers.ts'
import { createFiguresReader } from '#shared/db/figures.ts'
import { createOrders } from '#shared/db/orders.ts'
import { createResults } from '#shared/db/results.ts'
import { createWebhookQueue } from '#shared/db/webhooks.ts'
import { createDeadLetterQueue } from '#shared/dead-letters/dead-letter-queue.ts'
import { createLogger } from '#shared/logger.ts'
import { readApiKeys } from './api-key.ts'
import { createApp } from './app.ts'
import { readNetworks, readOrigins } from './network-setting.ts'
import { createOperationsReader } from './operations.ts'
import type { Page } from './page.ts'
import { createWebhooks } from './webhooks/dispatcher.ts'
import { readEndpoints } from './webhooks/endpoint.ts'
import { createSender } from './webhooks/sender.ts'

export const serviceSettings = [
  ...databaseSettings,
  'AWS_REGION',
  'AWS_ENDPOINT_URL',
  'BUCKET',
  'QUEUE_URL',
  'MAX_IMAGE_BYTES',
  'AUTH',
  'API_KEYS',
  'RATE_LIMIT_PER_MINUTE',
  'CORS_ORIGINS',
  'TRUST_PROXY',
  'WEBHOOKS',
  'WEBHOOKS_ALLOW_PRIVATE',
  'LOG_LEVEL',
] as const satisfies SettingName[]

/** What of them is not set, the API does without, and does not offer what needs it. */
export const optionalSettings = ['DLQ_URL'] as const satisfies SettingName[]

/** A client waits for the answer. */
const storeTimeoutMs = 5_000
/** Of one call among several. */
const deadLetterTimeoutMs = 3_000
const databaseTimeoutSeconds = 5
const countTimeoutMs = 2_000
/** A function answers one request at a time; of many functions each has connections of its own. */
const lambdaConnections = 2

/** The API with all that it stands on, not listening yet. Throws ConfigError. */
export async function createService(
  config: Config<(typeof serviceSettings)[number]> & Partial<Config<(typeof optionalSettings)[number]>>,
  { onLambda = false, page }: { onLambda?: boolean; page?: Page | undefined } = {},
) {
  const access = {
    auth: config.AUTH ?? { keys: readApiKeys(config.API_KEYS ?? '') },
    requestsPerMinute: config.RATE_LIMIT_PER_MINUTE,
  }
  const corsOrigins = readOrigins(config.CORS_ORIGINS)
  const proxies = readNetworks('TRUST_PROXY', config.TRUST_PROXY)
  const { endpoints, mayReach } = readEndpoints(config)
  const logger = createLogger({ level: config.LOG_LEVEL, service: 'api' })
  const database = openDatabase({
    ...(await databaseAddress(config)),
    timeoutSeconds: databaseTimeoutSeconds,
    ...(onLambda && { connectionLimit: lambdaConnections }),
  })
  const bucket = config.BUCKET
  const { AWS_REGION: region, AWS_ENDPOINT_URL: endpoint, QUEUE_URL: queueUrl, DLQ_URL: dlqUrl } = config
  const s3 = createS3Client({ region, endpoint })
  const sqs = createSqsClient({ region, endpoint })
  const objects = createObjectStore({ s3, bucket, timeoutMs: storeTimeoutMs })
  const presigner = createPresigner({ s3: createPresigningClient({ region, endpoint }), bucket })
  const results = createResults({ database, bucket })
  const counterOf = (url: string) => createQueueCounter({ sqs, queueUrl: url, timeoutMs: countTimeoutMs })
  const operations = createOperationsReader({
    figures: createFiguresReader({ database }),
    consumers: createConsumers({ database }),
    depths: { uploads: counterOf(queueUrl), deadLetters: dlqUrl ? counterOf(dlqUrl) : undefined },
    logger,
  })
  const webhooks = createWebhooks({
    queue: createWebhookQueue({ database }),
    endpoints,
    send: createSender({ mayReach }),
    logger,
  })
  const app = await createApp({
    results,
    orders: createOrders({ database, bucket }),
    objects,
    presigner,
    queue: { send: createQueueSender({ sqs, queueUrl, timeoutMs: storeTimeoutMs }) },
    deadLetterQueue: dlqUrl
      ? createDeadLetterQueue({ sqs, queueUrl, dlqUrl, timeoutMs: deadLetterTimeoutMs })
      : undefined,
    database,
    operations,
    bucket,
    maxImageBytes: config.MAX_IMAGE_BYTES,
    region,
    endpoint,
    ...access,
    corsOrigins,
    proxies,
    onJobEnded: webhooks.wake,
    onLambda,
    page,
    logger,
  })
  return {
    app,
    logger,
    /** Begins what goes on without being asked: sending webhooks, for which a function does not live long enough. */
    start: webhooks.start,
    /** Answers what is under way first. */
    async close(): Promise<void> {
      await Promise.all([app.close(), webhooks.close()])
      await database.close()
      s3.destroy()
      sqs.destroy()
    },
  }
}
