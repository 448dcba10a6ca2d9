import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Attributes, type HrTime, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, type SpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Logger } from '#shared/logger.ts'
import type { EndedTry, Observer } from '../pipeline/observer.ts'
import { readTraceParent } from './trace-parent.ts'

/** Spans that wait to be sent; more are dropped. */
const maxQueueSize = 2048
/** One line about a collector that is away, then silence for so long. */
const warnEveryMs = 60_000

/**
 * One trace per picture, sent over OTLP/HTTP in the background: a span for each try, from upload to record, and in it one for
 * each stage. It belongs to the trace that came with the picture or its message; else its trace id is the job's id, so
 * that all tries share it. What cannot be sent is dropped after a warning.
 */
export function createTraces({
  version,
  logger,
  exporter = new OTLPTraceExporter(),
}: {
  version: string
  logger: Logger
  /** Where to and how is the environment's: OTEL_EXPORTER_OTLP_ENDPOINT, _HEADERS, _TIMEOUT and so on. */
  exporter?: SpanExporter
}) {
  let warnedAt = Number.NEGATIVE_INFINITY
  let jobId = ''
  const provider = new TracerProvider({
    // OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME come last: they win.
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'promenade-consumer', 'service.version': version }))
      .merge(detectResources({ detectors: [envDetector] })),
    idGenerator: { generateTraceId: () => jobId, generateSpanId: () => randomBytes(8).toString('hex') },
    spanProcessors: [new BatchSpanProcessor({ exporter: warning(exporter), maxQueueSize })],
  })
  const tracer = provider.getTracer('promenade', version)

  function warning(inner: SpanExporter): SpanExporter {
    return {
      export: (spans, done) =>
        inner.export(spans, (result) => {
          if (result.error && performance.now() - warnedAt > warnEveryMs) {
            warnedAt = performance.now()
            logger.warn({ err: result.error, spans: spans.length }, 'traces could not be sent, they are lost')
          }
          done(result)
        }),
      shutdown: () => inner.shutdown(),
    }
  }

  function traceTry(ended: EndedTry): void {
    const parent = ended.traceHeaders.map(readTraceParent).find((each) => each !== undefined)
    const context = parent ? trace.setSpanContext(ROOT_CONTEXT, parent) : ROOT_CONTEXT
    jobId = ended.jobId
    const { uploadedAt, startedAt, endedAt } = ended
    const attributes = attributesOf(ended)
    const whole = tracer.startSpan(
      'process picture',
      { kind: SpanKind.CONSUMER, startTime: timeOf(uploadedAt), attributes },
      context,
    )
    const inside = trace.setSpan(context, whole)
    const error = ended.code && { code: SpanStatusCode.ERROR, message: ended.code }
    const queue = { stage: 'queue', startedAt: uploadedAt, endedAt: startedAt }
    for (const each of [queue, ...ended.stages]) {
      const part = tracer.startSpan(each.stage, { startTime: timeOf(each.startedAt), attributes }, inside)
      if (error && each === ended.stages.at(-1)) part.setStatus(error)
      part.end(timeOf(each.endedAt))
    }
    if (error) whole.setStatus(error)
    whole.end(timeOf(endedAt))
  }

  return {
    observer: { tryEnded: traceTry } satisfies Partial<Observer>,

    /** Sends what is left, for so long at most; true when nothing more is under way. */
    async close(milliseconds: number): Promise<boolean> {
      const timer = new AbortController()
      const flushed = provider.shutdown().then(
        () => true,
        () => true,
      )
      const late = sleep(milliseconds, false, { signal: timer.signal }).catch(() => false)
      try {
        return await Promise.race([flushed, late])
      } finally {
        timer.abort()
      }
    },
  }
}

/** Of milliseconds since 1970: a small number would be taken as one since the process began. */
function timeOf(milliseconds: number): HrTime {
  return [Math.trunc(milliseconds / 1000), Math.round((milliseconds % 1000) * 1e6)]
}

function attributesOf({ image, messageId, jobId, attempt, outcome, code }: EndedTry): Attributes {
  return {
    'messaging.system': 'aws_sqs',
    'messaging.message.id': messageId,
    'promenade.image_key': image.key,
    'promenade.image_version': image.version,
    'promenade.job_id': jobId,
    'promenade.attempt': attempt,
    'promenade.outcome': outcome,
    'error.type': code,
  }
}
