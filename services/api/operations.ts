import type { QueueDepth } from '#shared/aws/queue.ts'
import type { Consumers, SeenConsumer } from '#shared/db/consumers.ts'
import type { Figures, FiguresReader } from '#shared/db/figures.ts'
import { readTogether } from './read-together.ts'

export type OperationsReader = ReturnType<typeof createOperationsReader>

/** However many look at it, all is read anew after this time. */
const keptMs = 1_000

/** What operators are told, from the database and the queues. */
export function createOperationsReader({
  figures,
  consumers,
  depths,
  logger,
  now,
}: {
  figures: Pick<FiguresReader, 'read'>
  consumers: Pick<Consumers, 'list'>
  /** Each rejects when SQS does not answer soon. */
  depths: { uploads: () => Promise<QueueDepth>; deadLetters?: (() => Promise<QueueDepth>) | undefined }
  logger: { warn(fields: object, message: string): void }
  /** Milliseconds. */
  now?: (() => number) | undefined
}) {
  async function readAll() {
    const [read, seen, uploads, deadLetters] = await Promise.all([
      figures.read(),
      consumers.list(),
      depthOf('uploads', depths.uploads),
      depthOf('dead letters', depths.deadLetters),
    ])
    return {
      ...(uploads && { queue: { visible: uploads.visible, in_flight: uploads.inFlight } }),
      ...(deadLetters && { dead_letters: { visible: deadLetters.visible, in_flight: deadLetters.inFlight } }),
      ...figuresOf(read),
      consumers: seen.map(consumerOf),
    }
  }

  async function depthOf(queue: string, count: (() => Promise<QueueDepth>) | undefined) {
    return count?.().catch((error: unknown) => {
      logger.warn({ err: error, queue }, 'the messages on a queue could not be counted')
      return undefined
    })
  }

  /** Rejects with what `Database.run` throws. */
  return { read: readTogether(readAll, { keptMs, now }) }
}

function figuresOf({ at, queued, processing, oldestSeconds, failures: { since, byCode }, recent }: Figures) {
  return {
    at: at.toISOString(),
    jobs: { queued, processing, ...(oldestSeconds !== undefined && { oldest_seconds: oldestSeconds }) },
    failures: {
      since: since.toISOString(),
      by_code: byCode.map(({ code, jobs }) => ({ code: code ?? 'INTERNAL_ERROR', jobs })),
    },
    recent: recent.map((each) => ({
      key: each.key,
      take: each.take,
      finished_at: each.finishedAt.toISOString(),
      queue_ms: each.queueMs,
      fetch_ms: each.fetchMs,
      classify_ms: each.classifyMs,
      generate_ms: each.generateMs,
      store_ms: each.storeMs,
      total_ms: each.totalMs,
    })),
  }
}

function consumerOf({ startedAt, seenAt, realTimeFactor, receivedAgeSeconds, ...seen }: SeenConsumer) {
  return {
    id: seen.id,
    version: seen.version,
    started_at: startedAt.toISOString(),
    seen_at: seenAt.toISOString(),
    alive: seen.alive,
    state: seen.state,
    in_work: seen.inWork,
    slots: seen.slots,
    outages: seen.outages,
    execution_providers: seen.executionProviders,
    music_model: { name: seen.musicModel, revision: seen.musicModelRevision },
    classifier_model: { name: seen.classifierModel, revision: seen.classifierModelRevision },
    ...(realTimeFactor !== null && { real_time_factor: realTimeFactor }),
    clips: seen.clips,
    ...(receivedAgeSeconds !== null && { received_age_seconds: receivedAgeSeconds }),
  }
}
