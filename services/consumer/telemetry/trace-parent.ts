import type { SpanContext } from '@opentelemetry/api'
import { readW3cTraceParent } from '#shared/contract/trace-parent.ts'

/** https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader */
const xrayRoot = /(?:^|;)Root=1-(?!0{8}-0{24})([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)/
const xrayParent = /(?:^|;)Parent=(?!0{16})([0-9a-f]{16})(?:;|$)/
const xrayUnsampled = /(?:^|;)Sampled=0(?:;|$)/
const sampled = 1

/**
 * The span that a trace header names, W3C's `traceparent` or X-Ray's: whoever uploads or sends may have written it, so what
 * is not one is undefined.
 */
export function readTraceParent(header: string): SpanContext | undefined {
  const parts = readW3cTraceParent(header) ?? readXray(header)
  if (!parts) return undefined
  const { traceId, spanId, flags } = parts
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & sampled, isRemote: true }
}

function readXray(header: string) {
  const [, epoch, unique] = header.match(xrayRoot) ?? []
  const [, spanId] = header.match(xrayParent) ?? []
  if (!epoch || !unique || !spanId) return undefined
  return { traceId: epoch + unique, spanId, flags: xrayUnsampled.test(header) ? '00' : '01' }
}
