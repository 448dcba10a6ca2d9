import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { EndedTry } from '../../../../services/consumer/pipeline/observer.ts'
import { createMetrics, type Snapshot } from '../../../../services/consumer/telemetry/metrics.ts'
import { uploadOf } from '../../../job.ts'

const nothing: Snapshot = { inWork: 0, outages: [], queues: {} }

test('what happens to messages and pictures is counted by its code', async () => {
  const { observer, value } = build()
  for (const sentAt of [undefined, 90_000, 200_000]) observer.messageReceived({ sentAt })
  observer.messageRefused('MESSAGE_UNREADABLE')
  observer.tryEnded(ended({ outcome: 'succeeded' }))
  observer.tryEnded(ended({ outcome: 'failed', code: 'IMAGE_CORRUPT' }))
  for (const code of ['DATABASE_UNAVAILABLE', 'DATABASE_UNAVAILABLE', 'GENERATION_FAILED'] as const) {
    observer.tryEnded(ended({ outcome: 'retried', code }))
  }
  observer.tryEnded(ended({ outcome: 'lost' }))
  observer.tryEnded(ended({ outcome: 'canceled' }))
  observer.tryEnded(ended({ outcome: 'stopped' }))
  const expected = {
    promenade_messages_received_total: 3,
    promenade_received_message_age_seconds_count: 2,
    promenade_received_message_age_seconds_sum: 10,
    'promenade_messages_refused_total{code="MESSAGE_UNREADABLE"}': 1,
    promenade_jobs_succeeded_total: 1,
    'promenade_jobs_failed_total{code="IMAGE_CORRUPT"}': 1,
    'promenade_jobs_failed_total{code="IMAGE_EMPTY"}': 0,
    'promenade_jobs_retried_total{code="DATABASE_UNAVAILABLE"}': 2,
    'promenade_jobs_retried_total{code="GENERATION_FAILED"}': 1,
    promenade_jobs_canceled_total: 1,
    promenade_leases_lost_total: 1,
  }
  for (const [name, count] of Object.entries(expected)) assert.equal(await value(name), count, name)
})

test('stages are those of pictures that succeeded, from upload to record', async () => {
  const { observer, value } = build()
  observer.tryEnded(ended({ outcome: 'retried', code: 'GENERATION_FAILED' }))
  observer.tryEnded(ended({ outcome: 'succeeded' }))
  for (const [stage, seconds] of Object.entries({ queue: 2, fetch: 1, generate: 5, total: 8.5 })) {
    assert.equal(await value(`promenade_stage_duration_seconds_sum{stage="${stage}"}`), seconds, stage)
    assert.equal(await value(`promenade_stage_duration_seconds_count{stage="${stage}"}`), 1, stage)
  }
  assert.equal(await value('promenade_stage_duration_seconds_bucket{le="2.5",stage="queue"}'), 1)
  assert.equal(await value('promenade_stage_duration_seconds_bucket{le="1",stage="queue"}'), 0)
})

test('generations tell their clips and how much faster than real time they are', async () => {
  const { metrics, value } = build()
  metrics.inference.generated({ clips: 4, musicSeconds: 40, seconds: 8 })
  metrics.inference.restarted()
  assert.equal(await value('promenade_batch_size_sum'), 4)
  assert.equal(await value('promenade_real_time_factor_sum'), 5)
  assert.equal(await value('promenade_inference_restarts_total'), 1)
})

test('a look takes what is so at the time, and leaves out what is not known', async () => {
  const { value } = build()
  const away = { outages: [{ code: 'DATABASE_UNAVAILABLE' }], inWork: 3 }
  const queues = { uploads: { visible: 7, inFlight: 3 }, dead_letters: { visible: 1, inFlight: 0 } }
  const expected = {
    promenade_messages_in_work: 3,
    'promenade_outage{code="DATABASE_UNAVAILABLE"}': 1,
    'promenade_outage{code="QUEUE_UNAVAILABLE"}': 0,
    'promenade_queue_messages{queue="uploads",state="visible"}': 7,
    'promenade_queue_messages{queue="uploads",state="in_flight"}': 3,
    'promenade_queue_messages{queue="dead_letters",state="visible"}': 1,
  }
  for (const [name, count] of Object.entries(expected))
    assert.equal(await value(name, { ...away, queues }), count, name)
  assert.equal(await value('promenade_outage{code="DATABASE_UNAVAILABLE"}', nothing), 0)
  assert.equal(await value('promenade_queue_messages{queue="uploads",state="visible"}', nothing), undefined)
})

test('no label holds a key, and names keep to the conventions', async () => {
  const { observer, metrics } = build()
  for (const outcome of ['succeeded', 'failed', 'retried', 'lost', 'stopped'] as const) {
    observer.tryEnded(ended({ outcome, code: 'GENERATION_FAILED' }))
  }
  const text = await metrics.text(nothing)
  assert.doesNotMatch(text, /uploads\/|[0-9a-f]{32}/)
  for (const { name, type } of await metrics.registry.getMetricsAsJSON()) {
    if (!name.startsWith('promenade_')) continue
    assert.equal(name.endsWith('_total'), String(type) === 'counter', name)
  }
})

function build() {
  const metrics = createMetrics({ now: () => 100_000 })
  return {
    metrics,
    observer: metrics.observer,
    /** Of a line as Prometheus reads it. */
    async value(name: string, snapshot = nothing): Promise<number | undefined> {
      const text = await metrics.text(snapshot)
      const line = text.split('\n').find((each) => each.startsWith(`${name} `))
      return line === undefined ? undefined : Number(line.slice(name.length + 1))
    },
  }
}

function ended(more: Pick<EndedTry, 'outcome' | 'code'>): EndedTry {
  return {
    jobId: 'ab'.repeat(16),
    image: uploadOf('uploads/a.jpg'),
    messageId: 'm',
    uploadedAt: 1000,
    startedAt: 3000,
    endedAt: 9500,
    stages: [
      { stage: 'fetch', startedAt: 3000, endedAt: 4000 },
      { stage: 'generate', startedAt: 4000, endedAt: 9000 },
    ],
    traceHeaders: [],
    ...more,
  }
}
