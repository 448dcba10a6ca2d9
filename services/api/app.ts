import bearerAuth from '@fastify/bearer-auth'
import Fastify, { type FastifyBaseLogger, type FastifyRequest, LogController } from 'fastify'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { Database } from '#shared/db/client.ts'
import type { Results } from '#shared/db/results.ts'
import { createInquiry } from './inquiry.ts'
import { answerWrongMethods } from './plugins/method.ts'
import { describeApi } from './plugins/openapi.ts'
import { answerClientError, answerError, answerProblems } from './plugins/problem.ts'
import { analyzeRoutes } from './routes/analyze.ts'
import { healthRoutes } from './routes/health.ts'
import { resultRoutes } from './routes/results.ts'
import { createWatcher } from './watcher.ts'

export interface AppOptions {
  results: Pick<Results, 'find' | 'standings' | 'findAll'>
  objects: Pick<ObjectStore, 'head' | 'ping'>
  database: Pick<Database, 'ping'>
  bucket: string
  region: string
  /** Another address for S3 than Amazon's, such as the local stack's. */
  endpoint?: string | undefined
  /** Bearer keys that are let in; `none` lets everyone in. */
  auth: { keys: string[] } | 'none'
  logger: FastifyBaseLogger
}

const handlerTimeout = 20_000
const requestTimeout = 10_000
const bodyLimit = 64 * 1024

/** Builds the API, which then listens where its caller says. */
export async function createApp(options: AppOptions) {
  const { results, objects, database, bucket, region, endpoint, auth, logger } = options
  if (auth !== 'none' && auth.keys.length === 0) throw new Error('Expected at least one API key, or auth none')
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: isProbe }),
    handlerTimeout,
    requestTimeout,
    bodyLimit,
    frameworkErrors: answerError,
    clientErrorHandler: answerClientError,
    // Strict: what a schema does not name is a mistake of the caller's, not to be dropped in silence.
    ajv: { customOptions: { removeAdditional: false, coerceTypes: true } },
  })
  answerProblems(app)
  const wrongMethods = answerWrongMethods(app)
  await describeApi(app)
  const watcher = createWatcher({
    results,
    bucket,
    onError: (error) => logger.warn({ err: error }, 'watched jobs could not be looked at'),
  })
  const inquiry = createInquiry({ results, objects, watcher, bucket })
  app.addHook('preClose', async () => watcher.close())
  await app.register(healthRoutes({ database, objects }))
  await app.register(async (closed) => {
    if (auth !== 'none') {
      // RFC 6749 takes "bearer" in any case, as HTTP does.
      await closed.register(bearerAuth, { keys: new Set(auth.keys), specCompliance: 'rfc6749', addHook: false })
      closed.addHook('onRequest', closed.verifyBearerAuth!)
    }
    await closed.register(resultRoutes({ inquiry }))
    await closed.register(analyzeRoutes({ inquiry, bucket, region, endpoint }))
    closed.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
  })
  await app.register(wrongMethods)
  return app
}

/** Asked every few seconds by whatever watches over the service. */
function isProbe({ url }: FastifyRequest): boolean {
  return url === '/healthz' || url === '/readyz'
}
