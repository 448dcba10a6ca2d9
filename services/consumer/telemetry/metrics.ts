import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import type { Generation } from '../onnx/channel.ts'
import { outageCodes } from '../outages.ts'
import type { EndedTry, Observer } from '../pipeline/observer.ts'

export type Metrics = ReturnType<typeof createMetrics>

/** What is looked up when someone asks; counts that are not known are left out. */
export interface Snapshot {
  inWork: number
  outages: readonly { code: string }[]
  queues: Partial<Record<'uploads' | 'dead_letters', { visible: number; inFlight: number }>>
}

const minutes = 60
const hours = 60 * minutes
const days = 24 * hours
const stageBuckets = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, minutes, 2 * minutes, 5 * minutes, 10 * minutes]
const ageBuckets = [0.1, 1, 10, minutes, 5 * minutes, 15 * minutes, hours, 4 * hours, days, 4 * days]
const batchBuckets = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
const realTimeBuckets = [0.1, 0.25, 0.5, 1, 2, 4, 8, 16, 32, 64]

const awayCodes: readonly string[] = [...outageCodes, 'QUEUE_UNAVAILABLE']

/**
 * What Prometheus is told: counts of what the observer's calls say, and Node's own figures. Labels are codes, stages and names of
 * models, never keys. `now` in milliseconds since 1970.
 */
export function createMetrics({ now = Date.now }: { now?: () => number } = {}) {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })

  const counter = <Label extends string = never>(name: string, help: string, labelNames: Label[] = []) =>
    new Counter({ name, help, labelNames, registers })
  const gauge = <Label extends string = never>(name: string, help: string, labelNames: Label[] = []) =>
    new Gauge({ name, help, labelNames, registers })
  const histogram = <Label extends string = never>(
    name: string,
    help: string,
    buckets: number[],
    labelNames: Label[] = [],
  ) => new Histogram({ name, help, buckets, labelNames, registers })

  const received = counter('promenade_messages_received_total', 'Messages received, each time anew')
  const age = histogram(
    'promenade_received_message_age_seconds',
    'Time since a message was sent, when it is received; tries before and their waits included',
    ageBuckets,
  )
  const refused = counter(
    'promenade_messages_refused_total',
    'Messages dead-lettered because they name no picture of ours, by reason',
    ['code'],
  )
  const inWork = gauge('promenade_messages_in_work', 'Messages received and not yet acknowledged or given back')
  const succeeded = counter('promenade_jobs_succeeded_total', 'Pictures whose music is stored and recorded')
  const failed = counter('promenade_jobs_failed_total', 'Pictures failed for good and dead-lettered, by code', ['code'])
  const retried = counter('promenade_jobs_retried_total', 'Tries that failed and will be repeated, by code', ['code'])
  const canceled = counter('promenade_jobs_canceled_total', 'Jobs canceled while they were worked on')
  const leasesLost = counter('promenade_leases_lost_total', 'Tries ended because their lease was lost')
  const stages = histogram(
    'promenade_stage_duration_seconds',
    'Time that each stage of a picture that succeeded took; queue and total are from its upload',
    stageBuckets,
    ['stage'],
  )
  const batchSize = histogram('promenade_batch_size', 'Clips in one generation', batchBuckets)
  const realTimeFactor = histogram(
    'promenade_real_time_factor',
    'Seconds of music per second of generation, all clips of the generation together',
    realTimeBuckets,
  )
  const restarts = counter('promenade_inference_restarts_total', 'Inference processes lost and replaced')
  const outage = gauge('promenade_outage', '1 while what all pictures need is away', ['code'])
  const messages = gauge('promenade_queue_messages', 'Messages on the queues, as SQS counts', ['queue', 'state'])
  const buildInfo = gauge('promenade_build_info', 'Always 1; what runs is in the labels', [
    'version',
    'music_model',
    'music_model_revision',
    'classifier_model',
    'classifier_model_revision',
    'execution_providers',
  ])

  // From the start, so that the first of a kind is an increase.
  const codes = Object.keys(errorCodes) as ErrorCode[]
  for (const code of codes) {
    if (code.startsWith('IMAGE_') || code === 'GENERATION_FAILED') failed.inc({ code }, 0)
    if (code.startsWith('MESSAGE_')) refused.inc({ code }, 0)
    if (awayCodes.includes(code) || code === 'GENERATION_FAILED') retried.inc({ code }, 0)
  }

  function observeStages({ uploadedAt, startedAt, endedAt, stages: times }: EndedTry): void {
    const observe = (stage: string, milliseconds: number) => stages.observe({ stage }, milliseconds / 1000)
    observe('queue', startedAt - uploadedAt)
    for (const each of times) observe(each.stage, each.endedAt - each.startedAt)
    observe('total', endedAt - uploadedAt)
  }

  const observer: Observer = {
    messageReceived({ sentAt }) {
      received.inc()
      if (sentAt !== undefined) age.observe(Math.max(0, now() - sentAt) / 1000)
    },
    messageRefused: (code) => refused.inc({ code }),
    tryEnded(ended) {
      const { outcome, code = 'INTERNAL_ERROR' } = ended
      if (outcome === 'succeeded') {
        succeeded.inc()
        observeStages(ended)
      } else if (outcome === 'failed') failed.inc({ code })
      else if (outcome === 'retried') retried.inc({ code })
      else if (outcome === 'canceled') canceled.inc()
      else if (outcome === 'lost') leasesLost.inc()
    },
  }

  return {
    observer,
    inference: {
      generated({ clips, musicSeconds, seconds }: Generation): void {
        batchSize.observe(clips)
        realTimeFactor.observe(musicSeconds / seconds)
      },
      restarted: () => restarts.inc(),
    },
    /** Which version and models run. */
    describe: (labels: Parameters<typeof buildInfo.labels>[0]) => buildInfo.set(labels, 1),
    contentType: registry.contentType,
    registry,

    /** In the text format of Prometheus. */
    async text(snapshot: Snapshot): Promise<string> {
      inWork.set(snapshot.inWork)
      for (const code of awayCodes) outage.set({ code }, snapshot.outages.some((each) => each.code === code) ? 1 : 0)
      messages.reset()
      for (const [queue, { visible, inFlight }] of Object.entries(snapshot.queues)) {
        messages.set({ queue, state: 'visible' }, visible)
        messages.set({ queue, state: 'in_flight' }, inFlight)
      }
      return registry.metrics()
    },
  }
}
