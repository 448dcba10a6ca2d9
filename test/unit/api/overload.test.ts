import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import { refuseOverload } from '../../../services/api/plugins/overload.ts'
import { answerProblems } from '../../../services/api/plugins/problem.ts'
import { createTally } from '../../../services/api/tally.ts'
import { until } from '../../until.ts'

test('too many requests at work are refused at once; those that wait do not count', async (t) => {
  const waiting = createTally()
  const { get, hold, release } = await start(t, { waiting, maxWorking: 20 })
  const isRefused = async () => {
    const response = await get()
    if (response.statusCode === 200) return false
    assert.deepEqual([response.statusCode, response.json().code], [503, 'OVERLOADED'])
    assert.equal(response.headers['retry-after'], '5')
    return true
  }
  await hold(9)
  assert.equal(await isRefused(), false)
  await hold(1)
  assert.equal(await isRefused(), true)
  waiting.add('a', 99)
  await hold(89)
  assert.equal(await isRefused(), false)
  waiting.add('a', -10)
  assert.equal(await isRefused(), true)
  waiting.add('a', -89)
  await release()
  assert.equal(await isRefused(), false)
})

test('who sends bodies that never come is refused once it has as many places as are left, and nobody else is', async (t) => {
  const { app, get } = await start(t, { waiting: createTally(), maxWorking: 20 })
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  for (let i = 0; i < 30; i++) {
    const socket = connect(Number(port), '127.0.0.1')
    socket.on('error', () => {})
    socket.write(
      'POST / HTTP/1.1\r\nHost: x\r\nCaller: a\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n{',
    )
  }
  await until(async () => (await get('a')).statusCode !== 200)
  assert.equal((await get('b')).statusCode, 200)
})

test('a late event loop is an overload', async (t) => {
  // Which it is by any measure, once the first second has been measured.
  const { get } = await start(t, { waiting: createTally(), maxEventLoopDelayMs: 1e-9 })
  let response = await get()
  while (response.statusCode === 200) {
    await sleep(50)
    response = await get()
  }
  assert.equal(response.statusCode, 503)
  assert.equal(response.json().code, 'OVERLOADED')
  assert.equal(response.headers['retry-after'], '5')
})

async function start(t: TestContext, options: Parameters<typeof refuseOverload>[1]) {
  const app = Fastify({ forceCloseConnections: true })
  t.after(() => app.close())
  answerProblems(app)
  const { promise, resolve } = Promise.withResolvers<void>()
  const held: Promise<unknown>[] = []
  let begun = 0
  await app.register(async (closed) => {
    closed.decorateRequest('caller', '')
    closed.addHook('onRequest', async (request) => {
      request.caller = String(request.headers.caller ?? 'a')
    })
    await refuseOverload(closed, options)
    closed.get('/', async () => ({}))
    closed.post('/', async () => ({}))
    closed.get('/held', async () => {
      begun++
      await promise
      return {}
    })
  })
  return {
    app,
    get: (caller = 'a') => app.inject({ url: '/', headers: { caller } }),
    async hold(count: number): Promise<void> {
      const wanted = begun + count
      for (let i = 0; i < count; i++) held.push(app.inject('/held').then())
      await until(() => begun >= wanted)
    },
    async release(): Promise<void> {
      resolve()
      await Promise.all(held)
    },
  }
}
