import Fastify, { LogController } from 'fastify'
import type { Logger } from '#shared/logger.ts'
import type { Metrics, Snapshot } from './metrics.ts'

/** What is seen of the consumer from outside. */
export interface Monitored {
  health(): {
    running: boolean
    inWork: number
    outages: { code: string; since: Date }[]
  }
  queueDepths(): Promise<Record<'uploads' | 'deadLetters', { visible: number; inFlight: number }>>
}

/** For so long a count of messages is new enough: however many scrape, SQS is asked once. */
const depthsMs = 10_000
const requestTimeout = 10_000

/**
 * `/metrics` for Prometheus; `/healthz`: the event loop turns; `/readyz`: the models are loaded, messages are received and
 * nothing that all pictures need is away, else 503 and what is the matter. Serves from before there is a consumer until closed, which
 * waits for nobody.
 */
export async function startMonitor({
  host,
  port,
  metrics,
  modelsLoaded,
  consumer,
  logger,
  now = Date.now,
}: {
  host: string
  port: number
  metrics: Pick<Metrics, 'text' | 'contentType'>
  modelsLoaded: () => Promise<boolean>
  consumer: () => Monitored | undefined
  logger: Logger
  now?: () => number
}) {
  const app = Fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout,
    // Else Node would have in memory what it answers to all that come at once on one that reads nothing.
    maxRequestsPerSocket: 1,
    forceCloseConnections: true,
  })
  let depths: { countedAt: number; queues: Promise<Snapshot['queues']> } | undefined

  function queues(monitored: Monitored): Promise<Snapshot['queues']> {
    if (!depths || now() - depths.countedAt >= depthsMs) depths = { countedAt: now(), queues: countMessages(monitored) }
    return depths.queues
  }

  async function countMessages(monitored: Monitored): Promise<Snapshot['queues']> {
    try {
      const { uploads, deadLetters } = await monitored.queueDepths()
      return { uploads, dead_letters: deadLetters }
    } catch (error) {
      logger.warn({ err: error }, 'the messages on the queues could not be counted')
      return {}
    }
  }

  app.get('/metrics', async (_request, reply) => {
    const monitored = consumer()
    const { inWork = 0, outages = [] } = monitored?.health() ?? {}
    const text = await metrics.text({ inWork, outages, queues: monitored ? await queues(monitored) : {} })
    return reply.type(metrics.contentType).send(text)
  })

  app.get('/healthz', async () => ({ status: 'ok' }))

  app.get('/readyz', async (_request, reply) => {
    const { running = false, outages = [] } = consumer()?.health() ?? {}
    const models = await modelsLoaded()
    const isReady = models && running && outages.length === 0
    return reply
      .code(isReady ? 200 : 503)
      .send({ status: isReady ? 'ok' : 'unavailable', models_loaded: models, running, outages })
  })

  await app.listen({ host, port, listenTextResolver: (address) => `serving metrics and health on ${address}` })
  return { close: () => app.close() }
}
