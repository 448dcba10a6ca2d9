import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { pino } from 'pino'
import type { EndedTry } from '../../../../services/consumer/pipeline/observer.ts'
import { createTraces } from '../../../../services/consumer/telemetry/traces.ts'
import { uploadOf } from '../../../job.ts'
import { readAttribute, startOtlpCollector } from '../../../otlp-collector.ts'

const jobId = '0123456789abcdef0123456789abcdef'
const parent = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' }
const nanoseconds = (milliseconds: number) => `${milliseconds}000000`

test('a try is a span from upload to record, with one for the queue and each stage inside', async () => {
  const { spans, resource } = await collect((tryEnded) => tryEnded(ended({})))
  const whole = spans.find(({ name }) => name === 'process picture')!
  assert.deepEqual([whole.traceId, whole.parentSpanId], [jobId, undefined])
  assert.deepEqual([whole.startTimeUnixNano, whole.endTimeUnixNano], [nanoseconds(1000), nanoseconds(9500)])
  const inside = spans.filter((each) => each !== whole)
  assert.deepEqual(
    inside.map(({ name, startTimeUnixNano, endTimeUnixNano }) => [name, startTimeUnixNano, endTimeUnixNano]),
    [
      ['queue', nanoseconds(1000), nanoseconds(3000)],
      ['fetch', nanoseconds(3000), nanoseconds(4000)],
      ['generate', nanoseconds(4000), nanoseconds(9500)],
    ],
  )
  for (const span of inside) assert.deepEqual([span.traceId, span.parentSpanId], [jobId, whole.spanId])
  for (const { attributes } of spans) {
    assert.deepEqual(Object.fromEntries(attributes.map(readAttribute)), {
      'messaging.system': 'aws_sqs',
      'messaging.message.id': 'm',
      'promenade.image_key': 'uploads/한 글.jpg',
      'promenade.image_version': 'e1',
      'promenade.job_id': jobId,
      'promenade.attempt': 2,
      'promenade.outcome': 'succeeded',
    })
  }
  assert.deepEqual([resource['service.name'], resource['service.version']], ['promenade-consumer', '1.2.3'])
})

test('a try that failed says why, at the stage where it did', async () => {
  const { spans } = await collect((tryEnded) => tryEnded(ended({ outcome: 'failed', code: 'IMAGE_CORRUPT' })))
  const failed = spans.filter(({ status }) => status.code === 2)
  assert.deepEqual(
    failed.map(({ name, status }) => [name, status.message]),
    [
      ['generate', 'IMAGE_CORRUPT'],
      ['process picture', 'IMAGE_CORRUPT'],
    ],
  )
})

test('it belongs to the first trace that is one, and is not sampled where that is not', async () => {
  const { spans } = await collect((tryEnded) => {
    tryEnded(ended({ traceHeaders: ['nonsense', `00-${parent.traceId}-${parent.spanId}-01`, `00-${jobId}-1-01`] }))
    tryEnded(ended({ traceHeaders: [`00-${parent.traceId}-${parent.spanId}-00`] }))
  })
  assert.deepEqual(new Set(spans.map(({ traceId }) => traceId)), new Set([parent.traceId]))
  const whole = spans.filter(({ name }) => name === 'process picture')
  assert.deepEqual(
    whole.map(({ parentSpanId }) => parentSpanId),
    [parent.spanId],
  )
})

for (const [name, close] of [
  ['is away', true],
  ['never answers', false],
] as const) {
  test(`a collector that ${name} costs a warning, no more spans than are kept, and no time at the end`, async () => {
    const collector = await startOtlpCollector({ hangs: true })
    if (close) await collector.close()
    const lines: string[] = []
    const traces = createTraces({
      version: '1.2.3',
      logger: pino({}, { write: (line) => lines.push(line) }),
      exporter: new OTLPTraceExporter({ url: `${collector.url}/v1/traces`, timeoutMillis: 500 }),
    })
    for (let each = 0; each < 10_000; each++) traces.observer.tryEnded(ended({}))
    const startedAt = performance.now()
    await traces.close(5000)
    assert.ok(performance.now() - startedAt < 4000)
    assert.equal(lines.filter((line) => line.includes('traces could not be sent')).length, 1)
    if (!close) await collector.close()
  })
}

test('closing does not wait for longer than it is given', async () => {
  const collector = await startOtlpCollector({ hangs: true })
  const traces = createTraces({
    version: '1.2.3',
    logger: pino({ enabled: false }),
    exporter: new OTLPTraceExporter({ url: `${collector.url}/v1/traces` }),
  })
  traces.observer.tryEnded(ended({}))
  assert.equal(await traces.close(100), false)
  await collector.close()
})

async function collect(act: (tryEnded: (each: EndedTry) => void) => void) {
  const collector = await startOtlpCollector()
  try {
    const traces = createTraces({
      version: '1.2.3',
      logger: pino({ enabled: false }),
      exporter: new OTLPTraceExporter({ url: `${collector.url}/v1/traces` }),
    })
    act(traces.observer.tryEnded)
    assert.equal(await traces.close(10_000), true)
    return { spans: collector.spans(), resource: collector.resource() }
  } finally {
    await collector.close()
  }
}

function ended(more: Partial<EndedTry>): EndedTry {
  return {
    jobId,
    image: uploadOf('uploads/한 글.jpg'),
    messageId: 'm',
    attempt: 2,
    outcome: 'succeeded',
    uploadedAt: 1000,
    startedAt: 3000,
    endedAt: 9500,
    stages: [
      { stage: 'fetch', startedAt: 3000, endedAt: 4000 },
      { stage: 'generate', startedAt: 4000, endedAt: 9500 },
    ],
    traceHeaders: [],
    ...more,
  }
}
