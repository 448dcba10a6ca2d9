import type { SpanContext } from '@opentelemetry/api'

/** https://www.w3.org/TR/trace-context/#traceparent-header; later versions may only add to the end. */
const w3c = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/
/** https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader */
const xrayRoot = /(?:^|;)Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)/
const xrayParent = /(?:^|;)Parent=([0-9a-f]{16})(?:;|$)/
const xrayUnsampled = /(?:^|;)Sampled=0(?:;|$)/
const zeros = /^0+$/
const sampled = 1

/**
 * The span that a trace header names, W3C's `traceparent` or X-Ray's: whoever uploads or sends may have written it, so what
 * is not one is undefined.
 */
export function readTraceParent(header: string): SpanContext | undefined {
  const [, traceId, spanId, flags] = header.trim().match(w3c) ?? fromXray(header) ?? []
  if (!traceId || !spanId || !flags || zeros.test(traceId) || zeros.test(spanId)) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & sampled, isRemote: true }
}

/** As a match of the other form. */
function fromXray(header: string): string[] | undefined {
  const [, epoch, unique] = header.match(xrayRoot) ?? []
  const [, parent] = header.match(xrayParent) ?? []
  return epoch && unique && parent
    ? [header, epoch + unique, parent, xrayUnsampled.test(header) ? '00' : '01']
    : undefined
}
