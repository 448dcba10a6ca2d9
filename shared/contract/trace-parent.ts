/** https://www.w3.org/TR/trace-context/#traceparent-header; later versions may only add to the end. */
const w3c = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/

/** The parts of W3C's `traceparent`; undefined for what is none. */
export function readW3cTraceParent(header: string): { traceId: string; spanId: string; flags: string } | undefined {
  const [, traceId, spanId, flags] = header.trim().match(w3c) ?? []
  return traceId && spanId && flags ? { traceId, spanId, flags } : undefined
}
