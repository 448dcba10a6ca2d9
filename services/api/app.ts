import Fastify, { type FastifyBaseLogger, type FastifyRequest, LogController } from 'fastify'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { Database } from '#shared/db/client.ts'
import type { Results } from '#shared/db/results.ts'
import { type Auth, closeTo } from './plugins/access.ts'
import { answerWrongMethods } from './plugins/method.ts'
import { describeApi } from './plugins/openapi.ts'
import { answerClientError, answerError, answerProblems } from './plugins/problem.ts'
import { healthRoutes } from './routes/health.ts'
import { resultRoutes } from './routes/results.ts'

export interface AppOptions {
  results: Pick<Results, 'find'>
  objects: Pick<ObjectStore, 'head' | 'ping'>
  database: Pick<Database, 'ping'>
  bucket: string
  auth: Auth
  logger: FastifyBaseLogger
}

const handlerTimeout = 20_000
const requestTimeout = 10_000
/** There is no route yet that reads a body. */
const bodyLimit = 64 * 1024

/** Builds the API, which then listens where its caller says. */
export async function createApp({ results, objects, database, bucket, auth, logger }: AppOptions) {
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
  await app.register(healthRoutes({ database, objects }))
  await app.register(async (closed) => {
    closeTo(closed, auth)
    await closed.register(resultRoutes({ results, objects, bucket }))
    closed.get('/openapi.json', { config: { scope: 'read' }, schema: { hide: true } }, async () => app.swagger())
  })
  await app.register(wrongMethods)
  return app
}

/** Asked every few seconds by whatever watches over the service. */
function isProbe({ url }: FastifyRequest): boolean {
  return url === '/healthz' || url === '/readyz'
}
