import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import { refuseOverload } from '../../../services/api/plugins/overload.ts'
import { answerProblems } from '../../../services/api/plugins/problem.ts'

test('too many requests at work are refused at once; those that wait do not count', async (t) => {
  let waiting = 0
  const { get, hold, release } = await start(t, { waiting: () => waiting, maxWorking: 10 })
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
  waiting = 99
  await hold(89)
  assert.equal(await isRefused(), false)
  waiting = 89
  assert.equal(await isRefused(), true)
  waiting = 0
  await release()
  assert.equal(await isRefused(), false)
})

test('a late event loop is an overload', async (t) => {
  // Which it is by any measure, once the first second has been measured.
  const { get } = await start(t, { waiting: () => 0, maxEventLoopDelayMs: 1e-9 })
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
  const { promise, resolve } = Promise.withResolvers<void>()
  const held: Promise<unknown>[] = []
  let begun = 0
  await app.register(async (closed) => {
    await refuseOverload(closed, options)
    closed.get('/', async () => ({}))
    closed.get('/held', async () => {
      begun++
      await promise
      return {}
    })
  })
  return {
    get: () => app.inject('/'),
    async hold(count: number): Promise<void> {
      const until = begun + count
      for (let i = 0; i < count; i++) held.push(app.inject('/held').then())
      while (begun < until) await sleep(1)
    },
    async release(): Promise<void> {
      resolve()
      await Promise.all(held)
    },
  }
}
