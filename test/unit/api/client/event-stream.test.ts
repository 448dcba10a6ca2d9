import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readEvents } from '../../../../services/api/client/event-stream.ts'
import { all } from '../../../scripted-api.ts'

const silence = { start() {}, stop() {} }
const events = [
  { type: 'progress', data: '{"한":"글"}', id: '1', retryMs: 1000 },
  { type: 'message', data: 'two\nlines', id: '1', retryMs: 1000 },
  { type: 'end', data: ' 😀', id: '2', retryMs: 1000 },
]

for (const [name, end] of [
  ['line feeds', '\n'],
  ['carriage returns', '\r'],
  ['both', '\r\n'],
] as const) {
  test(`events are read through ${name}, wherever the pieces are cut`, async () => {
    const lines = [
      'retry: 1000',
      '',
      ': still here',
      '',
      'id: 1',
      'event: progress',
      'data:{"한":"글"}',
      '',
      'data: two',
      'data: lines',
      'unknown: x',
      '',
      'event: nothing without data',
      '',
      'id: 2',
      'event: end',
      'data:  😀',
      '',
      'data: cut off',
    ]
    const bytes = new TextEncoder().encode(lines.join(end) + end)
    for (const size of [1, 2, 3, 7, bytes.length]) {
      assert.deepEqual(await all(readEvents(inPieces(bytes, size), silence)), events, `pieces of ${size}`)
    }
  })
}

test('the body is let go of when the reader stops, and an event without end is not kept', async () => {
  let canceled = false
  const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.enqueue(new TextEncoder().encode('data: 1\n\n')),
    cancel() {
      canceled = true
    },
  })
  for await (const { data } of readEvents(endless, silence)) {
    assert.equal(data, '1')
    break
  }
  assert.ok(canceled)
  const flood = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: (controller) => controller.enqueue(new Uint8Array(2 ** 16).fill(65)),
  })
  await assert.rejects(all(readEvents(flood, silence)), /at most 1048576 characters/)
})

function inPieces(bytes: Uint8Array<ArrayBuffer>, size: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size))
      controller.close()
    },
  })
}
