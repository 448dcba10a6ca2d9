import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import { refuseOverload } from '../../../services/api/plugins/overload.ts'
import { answerProblems } from '../../../services/api/plugins/problem.ts'

test('too many requests at work are refused at once; those that wait do not count, up to a bound', async (t) => {
  const counts = { inFlight: 0, waiting: 0 }
  const { get } = await start(t, {
    inFlight: () => counts.inFlight,
    waiting: () => counts.waiting,
    maxWorking: 10,
    maxInFlight: 100,
  })
  for (const [inFlight, waiting, status] of [
    [10, 0, 200],
    [11, 0, 503],
    [100, 90, 200],
    [100, 89, 503],
    [101, 100, 503],
  ] as const) {
    Object.assign(counts, { inFlight, waiting })
    const response = await get()
    assert.equal(response.statusCode, status, `${inFlight} ${waiting}`)
    if (status === 503) {
      assert.equal(response.json().code, 'OVERLOADED')
      assert.equal(response.headers['retry-after'], '5')
    }
  }
})

test('a late event loop is an overload', async (t) => {
  // Which it is by any measure, once the first second has been measured.
  const { get } = await start(t, { inFlight: () => 1, waiting: () => 0, maxEventLoopDelayMs: 1e-9 })
  let response = await get()
  while (response.statusCode === 200) {
    await sleep(50)
    response = await get()
  }
  assert.equal(response.statusCode, 503)
  assert.equal(response.json().code, 'OVERLOADED')
  assert.equal(response.headers['retry-after'], '5')
})

async function start(t: { after(end: () => unknown): void }, options: Parameters<typeof refuseOverload>[1]) {
  const app = Fastify()
  t.after(() => app.close())
  answerProblems(app)
  await app.register(async (closed) => {
    await refuseOverload(closed, options)
    closed.get('/', async () => ({}))
  })
  return { get: () => app.inject('/') }
}
