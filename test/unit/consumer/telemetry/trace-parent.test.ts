import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readTraceParent } from '../../../../services/consumer/telemetry/trace-parent.ts'

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
const spanId = '00f067aa0ba902b7'

for (const [header, traceFlags] of [
  [`00-${traceId}-${spanId}-01`, 1],
  [`00-${traceId}-${spanId}-00`, 0],
  [`  00-${traceId}-${spanId}-03 `, 1],
  [`cc-${traceId}-${spanId}-01-what the future brings`, 1],
  [`Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=${spanId};Sampled=1`, 1],
  [`Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=${spanId};Sampled=0`, 0],
  [`Self=1-67891234-12456789abcdef012345678;Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=${spanId}`, 1],
] as const) {
  test(`${header} names a span`, () => {
    assert.deepEqual(readTraceParent(header), { traceId, spanId, traceFlags, isRemote: true })
  })
}

for (const header of [
  '',
  'hello',
  `ff-${traceId}-${spanId}-01`,
  `00-${traceId.toUpperCase()}-${spanId}-01`,
  `00-${'0'.repeat(32)}-${spanId}-01`,
  `00-${traceId}-${'0'.repeat(16)}-01`,
  `00-${traceId}-${spanId}`,
  `00-${traceId}-${spanId}-01${'0'.repeat(100_000)}`,
  'Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Sampled=1',
  `Parent=${spanId}`,
]) {
  test(`${header.slice(0, 80)} names none`, () => {
    assert.equal(readTraceParent(header), undefined)
  })
}
