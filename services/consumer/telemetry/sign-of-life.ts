import { randomBytes } from 'node:crypto'
import type { Consumers } from '#shared/db/consumers.ts'
import { withDeadline } from '#shared/deadline.ts'
import type { Generation } from '../onnx/channel.ts'
import type { Observer } from '../pipeline/observer.ts'

type Sign = Parameters<Consumers['write']>[0]

interface Model {
  name: string
  source: { revision: string }
}

/** A quarter of the time after which it counts as dead: three may fail. */
const beatMs = 15_000
/** Generations whose speed is told. */
const recentGenerations = 10
/** For taking the row away, at the end. */
const removalMs = 1_000

/**
 * Tells operators by a row in the database that this consumer is there and how it does. One write at a time, each bounded by
 * the database's time limits; one that fails is made again at the next beat, and touches nothing else.
 */
export function createSignOfLife({
  consumers,
  logger,
  now = () => performance.timeOrigin + performance.now(),
  after = (milliseconds, run) => {
    const timer = setTimeout(run, milliseconds)
    return () => clearTimeout(timer)
  },
}: {
  consumers: Pick<Consumers, 'write' | 'remove'>
  logger: { warn(fields: object, message: string): void }
  /** Milliseconds since 1970; never goes back. */
  now?: () => number
  /** Returns what takes it back. */
  after?: (milliseconds: number, run: () => void) => () => void
}) {
  const id = randomBytes(16).toString('hex')
  const startedAt = now()
  const generations: Generation[] = []
  let clips = 0
  let receivedAgeSeconds: number | undefined
  let state: 'running' | 'stopping' = 'running'
  let look: (() => Sign) | undefined
  let writing: Promise<void> | undefined
  /** What is written now is outdated already. */
  let isOutdated = false
  let hasFailed = false
  let cancelBeat = () => {}

  function beat(): void {
    cancelBeat()
    if (!look) return
    isOutdated = writing !== undefined
    if (isOutdated) return
    writing = write(look()).finally(() => {
      writing = undefined
      if (isOutdated) beat()
      else if (look) cancelBeat = after(beatMs, beat)
    })
  }

  async function write(sign: Sign): Promise<void> {
    try {
      await consumers.write(sign)
      hasFailed = false
    } catch (error) {
      if (!hasFailed) logger.warn({ err: error }, 'the sign of life could not be written')
      hasFailed = true
    }
  }

  /** Of music in a second; generations run one at a time. */
  function realTimeFactor(): number | undefined {
    const sum = (of: 'musicSeconds' | 'seconds') => generations.reduce((total, each) => total + each[of], 0)
    return generations.length ? sum('musicSeconds') / sum('seconds') : undefined
  }

  return {
    observer: {
      messageReceived({ sentAt }) {
        if (sentAt !== undefined) receivedAgeSeconds = Math.max(0, now() - sentAt) / 1000
      },
    } satisfies Partial<Observer>,

    generated(generation: Generation): void {
      clips += generation.clips
      generations.push(generation)
      if (generations.length > recentGenerations) generations.shift()
    },

    start({
      version,
      slots,
      inference: { musicManifest: music, classifierManifest: classifier, executionProviders },
      health,
    }: {
      version: string
      slots: number
      inference: { musicManifest: Model; classifierManifest: Model; executionProviders(): readonly string[] }
      health: () => { inWork: number; outages: readonly { code: string }[] }
    }): void {
      look = () => {
        const { inWork, outages } = health()
        return {
          id,
          version,
          slots,
          musicModel: music.name,
          musicModelRevision: music.source.revision,
          classifierModel: classifier.name,
          classifierModelRevision: classifier.source.revision,
          executionProviders: executionProviders(),
          state,
          inWork,
          outages: outages.map(({ code }) => code),
          clips,
          realTimeFactor: realTimeFactor(),
          receivedAgeSeconds,
          uptimeSeconds: (now() - startedAt) / 1000,
        }
      }
      beat()
    },

    /** The consumer begins nothing more. */
    stopping(): void {
      state = 'stopping'
      beat()
    },

    /** Takes the row away, and resolves within a second in any case. */
    async stop(): Promise<void> {
      if (!look) return
      look = undefined
      isOutdated = false
      cancelBeat()
      const removed = Promise.resolve(writing).then(() => consumers.remove(id))
      await withDeadline(removed, removalMs, () => new Error(`no answer within ${removalMs} ms`)).catch(
        (error: unknown) => logger.warn({ err: error }, 'the sign of life could not be taken away'),
      )
    },
  }
}
