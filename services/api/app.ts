import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyBaseLogger, LogController } from 'fastify'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { Presigner } from '#shared/aws/presign.ts'
import type { Queue } from '#shared/aws/queue.ts'
import type { Database } from '#shared/db/client.ts'
import type { Orders } from '#shared/db/orders.ts'
import type { Results } from '#shared/db/results.ts'
import type { DeadLetterQueue } from '#shared/dead-letters/dead-letter-queue.ts'
import { createInquiry } from './inquiry.ts'
import type { OperationsReader } from './operations.ts'
import type { Page } from './page.ts'
import { type AccessOptions, createAccess } from './plugins/access.ts'
import { setHeaders } from './plugins/header.ts'
import { answerWrongMethods } from './plugins/method.ts'
import { createMetrics } from './plugins/metrics.ts'
import { describeApi } from './plugins/openapi.ts'
import { refuseOverload } from './plugins/overload.ts'
import { answerClientError, answerProblems, answerUnreadable, describeInvalid } from './plugins/problem.ts'
import { watchTraffic } from './plugins/traffic.ts'
import { createReader } from './reader.ts'
import { analyzeRoutes } from './routes/analyze.ts'
import { cancellationRoutes } from './routes/cancellations.ts'
import { deadLetterRoutes } from './routes/dead-letters.ts'
import { documentationRoutes } from './routes/documentation.ts'
import { generationRoutes } from './routes/generations.ts'
import { healthRoutes } from './routes/health.ts'
import { infoRoutes } from './routes/info.ts'
import { listRoutes } from './routes/list.ts'
import { operationsRoutes } from './routes/operations.ts'
import { pageRoutes } from './routes/page.ts'
import { resultRoutes } from './routes/results.ts'
import { uploadRoutes } from './routes/uploads.ts'
import { createWatcher } from './watcher.ts'

export interface AppOptions {
  results: Pick<Results, 'findAll' | 'list' | 'models' | 'standings'>
  orders: Orders
  objects: Pick<ObjectStore, 'head' | 'ping'>
  presigner: Presigner
  queue: Pick<Queue, 'send'>
  deadLetterQueue?: DeadLetterQueue | undefined
  database: Pick<Database, 'ping'>
  /** What is told of the work to operators. */
  operations: Pick<OperationsReader, 'read'>
  bucket: string
  /** Of an upload. */
  maxImageBytes: number
  region: string
  /** Another address for S3 than Amazon's, such as the local stack's. */
  endpoint?: string | undefined
  auth: AccessOptions['auth']
  /** Of one key; as many as they like when absent or 0. */
  requestsPerMinute?: number
  /** Origins of the pages that may call from a browser. */
  corsOrigins?: string[]
  /** Addresses and networks of the proxies whose X-Forwarded-For is believed. */
  proxies?: string[]
  /** Hears that a job has ended through a call. */
  onJobEnded?: () => void
  /** One request at a time, between which the process is frozen. */
  onLambda?: boolean
  /** Mean of a second from which on requests are refused; 0 for none. */
  maxEventLoopDelayMs?: number
  /** To be served at `/`. */
  page?: Page | undefined
  logger: FastifyBaseLogger
}

const requestTimeout = 10_000
/** Of silence on a connection, above the longest that we keep ourselves: who reads nothing for so long is gone. */
const connectionTimeout = 90_000
const bodyLimit = 64 * 1024
/** An image key of 1,024 bytes, each percent-encoded. */
const maxParamLength = 3 * 1024
/**
 * Node's HTTP: what is late is looked for this often, a body is waited for as long as the longer of its two timeouts says,
 * and a missing Host is answered by us.
 */
const http = { connectionsCheckingInterval: 2_000, headersTimeout: requestTimeout, requireHostHeader: false }

/** Builds the API, which then listens where its caller says. */
export async function createApp({
  results,
  orders,
  objects,
  presigner,
  queue,
  deadLetterQueue,
  database,
  operations,
  bucket,
  maxImageBytes,
  region,
  endpoint,
  auth,
  requestsPerMinute = 0,
  corsOrigins = [],
  proxies = [],
  onJobEnded = () => {},
  onLambda = false,
  maxEventLoopDelayMs,
  page,
  logger,
}: AppOptions) {
  const access = createAccess({ auth, requestsPerMinute })
  const app = Fastify({
    loggerInstance: logger,
    // Counted by /metrics; those that fail log why, with their id. A logger of its own for each would cost more.
    childLoggerFactory: (parent) => parent,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    requestTimeout,
    connectionTimeout,
    bodyLimit,
    routerOptions: { maxParamLength },
    http,
    ...(proxies.length && { trustProxy: proxies }),
    // What is under way on a connection when the server closes is answered too.
    return503OnClosing: false,
    frameworkErrors: answerUnreadable,
    clientErrorHandler: answerClientError,
    schemaErrorFormatter: describeInvalid,
    // Strict: what a schema does not name is a mistake of the caller's, not to be dropped in silence.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true } },
  })
  const inFlight = watchTraffic(app, (...ended) => metrics.observe(...ended))
  const reader = createReader({ results, bucket })
  const watcher = createWatcher({
    reader,
    bucket,
    onError: (error) => logger.warn({ err: error }, 'watched jobs could not be looked at'),
  })
  const onCanceled = () => {
    reader.forget()
    watcher.wake()
    onJobEnded()
  }
  const metrics = createMetrics({ inFlight, waiting: watcher.waiting.total })
  await setHeaders(app, { corsOrigins })
  answerProblems(app)
  const wrongMethods = answerWrongMethods(app)
  await describeApi(app)
  const inquiry = createInquiry({ reader, objects, watcher, bucket, onLambda })
  app.addHook('preClose', async () => watcher.close())
  await app.register(documentationRoutes({ onLambda }))
  if (page) await app.register(pageRoutes({ page, presigner, onLambda }))
  await app.register(healthRoutes({ database, objects }))
  await app.register(async (operators) => {
    access.close(operators)
    await operators.register(metrics.routes)
  })
  await app.register(async (closed) => {
    access.close(closed)
    if (!onLambda) await refuseOverload(closed, { waiting: watcher.waiting, maxEventLoopDelayMs })
    await closed.register(infoRoutes({ results }))
    await closed.register(resultRoutes({ inquiry, presigner }))
    await closed.register(analyzeRoutes({ inquiry, bucket, region, endpoint }))
    await closed.register(listRoutes({ results, presigner }))
    await closed.register(uploadRoutes({ presigner, maxImageBytes }))
    await closed.register(generationRoutes({ orders, objects, queue }))
    await closed.register(cancellationRoutes({ orders, objects, onCanceled }))
    await closed.register(operationsRoutes({ operations }))
    await closed.register(deadLetterRoutes({ queue: deadLetterQueue }))
  })
  await app.register(wrongMethods)
  return app
}
