import { type AwsLocation, createS3Client, createSqsClient, createSqsReceiveClient } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { createQueue, createQueueCounter } from '#shared/aws/queue.ts'
import type { Config } from '#shared/config.ts'
import type { Jobs } from '#shared/db/jobs.ts'
import type { Logger } from '#shared/logger.ts'
import { createOutages } from './outages.ts'
import type { Inference } from './pipeline/music-maker.ts'
import { combineObservers, type Observer } from './pipeline/observer.ts'
import { createPictureReader } from './pipeline/picture-reader.ts'
import { createPipeline } from './pipeline/process-image.ts'
import { createMessageProcessor } from './pipeline/process-message.ts'
import { checkPromptWords, type PromptWords } from './pipeline/prompt-words.ts'
import type { consumerSettings } from './setting-names.ts'
import { createWorker } from './worker.ts'

/** Asked for while someone waits to see the numbers. */
const countTimeoutMs = 2_000
/** Nothing that a picture fails with: none is received then. */
const queueUnavailable = 'QUEUE_UNAVAILABLE' as const

/**
 * The consumer without its process: it neither reads the environment nor handles signals. Database, inference and
 * logger stay the caller's to close. Throws when the classifier has labels for which there are no words.
 */
export function createConsumer({
  config,
  credentials,
  jobs,
  inference,
  words,
  observers = [],
  logger,
  env = {},
  now = () => performance.timeOrigin + performance.now(),
  random = Math.random,
}: {
  config: Config<(typeof consumerSettings)[number]>
  credentials?: AwsLocation['credentials']
  jobs: Jobs
  inference: Inference
  words: PromptWords
  observers?: Partial<Observer>[]
  logger: Logger
  /** Of the process that decodes pictures. */
  env?: NodeJS.ProcessEnv
  /** Milliseconds since 1970; never goes back. */
  now?: () => number
  /** 0 to 1. */
  random?: () => number
}) {
  const missing = checkPromptWords(words, inference.classifierManifest.classifier)
  if (missing.length) throw new Error(`there are no prompt words for these labels: ${missing.join(', ')}`)

  const location = { region: config.AWS_REGION, endpoint: config.AWS_ENDPOINT_URL, credentials }
  const clients = {
    s3: createS3Client(location),
    sqs: createSqsClient(location),
    receive: createSqsReceiveClient(location),
  }
  const { QUEUE_URL: queueUrl, DLQ_URL: dlqUrl } = config
  const queue = createQueue({ sqs: clients.sqs, queueUrl, dlqUrl })
  const counterOf = (url: string) => createQueueCounter({ sqs: clients.sqs, queueUrl: url, timeoutMs: countTimeoutMs })
  const counters = { uploads: counterOf(queueUrl), deadLetters: counterOf(dlqUrl) }
  const objects = createObjectStore({ s3: clients.s3, bucket: config.BUCKET })
  const pictures = createPictureReader({
    maxPixels: config.MAX_IMAGE_PIXELS,
    graphs: inference.classifierManifest.classifier.graphs,
    env,
  })
  const outages = createOutages({
    probes: {
      DATABASE_UNAVAILABLE: jobs.ping,
      STORAGE_UNAVAILABLE: objects.ping,
      MODEL_UNAVAILABLE: inference.ping,
    },
    random,
    now,
    logger,
  })
  const disproveOutages: Partial<Observer> = {
    tryEnded({ outcome, startedAt, stages }) {
      // A later take does without the picture.
      const isOfPicture = stages.some(({ stage }) => stage === 'fetch')
      if (outcome === 'succeeded') outages.disprove(startedAt, { isOfPicture })
    },
  }
  const observer = combineObservers([disproveOutages, ...observers], logger)
  const leaseSeconds = config.LEASE_SECONDS
  const pipeline = createPipeline({
    jobs,
    objects,
    pictures,
    inference,
    words,
    now,
    random,
    region: config.AWS_REGION,
    leaseSeconds,
    maxAttempts: config.MAX_ATTEMPTS,
    outages,
    observer,
    maxImageBytes: config.MAX_IMAGE_BYTES,
    musicSeconds: config.MUSIC_SECONDS,
  })
  const { processMessage } = createMessageProcessor({
    queue,
    pipeline,
    bucket: config.BUCKET,
    leaseSeconds,
    observer,
    logger,
    random,
  })
  const worker = createWorker({
    sqs: clients.receive,
    queueUrl,
    queue,
    processMessage,
    outages,
    pollers: config.BATCH_SIZE,
    leaseSeconds,
    graceSeconds: config.GRACE_SECONDS,
    logger,
    random,
  })

  return {
    start(): void {
      worker.start()
      logger.info({ bucket: config.BUCKET, slots: config.BATCH_SIZE }, 'consumer started')
    },

    /** Gives up or finishes what is in work within GRACE_SECONDS; a consumer once stopped stays so. */
    async stop(): Promise<void> {
      await worker.stop()
      pictures.close()
      for (const client of Object.values(clients)) client.destroy()
      logger.info('consumer stopped')
    },

    /** `running`: it receives messages, or would but for the outages. */
    health() {
      const queueAwaySince = worker.queueAwaySince()
      const queueAway = queueAwaySince ? [{ code: queueUnavailable, since: queueAwaySince }] : []
      return { running: worker.isRunning(), inWork: worker.inWork(), outages: [...outages.current(), ...queueAway] }
    },

    /** How many messages are where, as SQS counts. Throws when it does not answer soon. */
    async queueDepths() {
      const [uploads, deadLetters] = await Promise.all([counters.uploads(), counters.deadLetters()])
      return { uploads, deadLetters }
    },
  }
}
