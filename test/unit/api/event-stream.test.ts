import assert from 'node:assert/strict'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { createEventStream } from '../../../services/api/event-stream.ts'

function start(t: TestContext) {
  const ended = t.mock.fn()
  const events = createEventStream({ onEnd: ended })
  t.after(() => events.stream.destroy())
  return { ...events, ended }
}

test('events come with their id, and the stream ends when it is told to', async (t) => {
  const { stream, send, end, ended } = start(t)
  const received = text(stream)
  send({ event: 'progress', id: 'r1', data: { progress: 0.5, text: 'a\nb' } })
  await new Promise(setImmediate)
  send({ event: 'end', id: 'r2', data: {} })
  end()
  send({ event: 'late', id: 'r3', data: {} })
  const [retry, ...events] = (await received).split('\n\n')
  assert.match(retry!, /^retry: [1-3]\d{3}$/)
  assert.deepEqual(events, [
    'id: r1\nevent: progress\ndata: {"progress":0.5,"text":"a\\nb"}',
    'id: r2\nevent: end\ndata: {}',
    '',
  ])
  assert.equal(ended.mock.callCount(), 1)
})

test('a client that does not read has a bounded part waiting, and then gets the newest and the end', async (t) => {
  const { stream, send, end } = start(t)
  for (let n = 0; n < 1_000; n++) send({ event: 'progress', id: String(n), data: 'x'.repeat(500) })
  assert.ok(stream.readableLength < 6_000, `${stream.readableLength} bytes wait`)
  end()
  const ids = Array.from((await text(stream)).matchAll(/^id: (\d+)$/gm), ([, id]) => Number(id))
  assert.ok(ids.length < 15)
  assert.equal(ids.at(-1), 999)
})

test('a stream that is silent says that it is there, and ends after a quarter of an hour', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const { stream, ended } = start(t)
  const received = text(stream)
  for (let minute = 0; minute < 15; minute++) {
    t.mock.timers.tick(60_000)
    await new Promise(setImmediate)
  }
  assert.ok((await received).split(': still here').length > 50)
  assert.equal(ended.mock.callCount(), 1)
})

test('who does not read the end either is cut off', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval'] })
  const { stream, send, end, ended } = start(t)
  for (let n = 0; n < 100; n++) send({ event: 'progress', id: String(n), data: 'x'.repeat(500) })
  end()
  const closed = once(stream, 'close')
  t.mock.timers.tick(15_000)
  await closed
  assert.equal(ended.mock.callCount(), 1)
})
