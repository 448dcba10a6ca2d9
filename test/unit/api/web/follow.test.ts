import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createApp } from '../../../../services/api/app.ts'
import { createPromenadeClient } from '../../../../services/api/client/client.ts'
import { follow } from '../../../../services/api/web/follow.ts'
import type { Session } from '../../../../services/api/web/session.ts'
import { apiOptions } from '../../../api-options.ts'
import { fakeResults, foundJob, succeededJob } from '../../../found-job.ts'
import { createQuickClock } from '../../../scripted-api.ts'
import { startTcpProxy } from '../../../tcp-proxy.ts'
import { until } from '../../../until.ts'

const key = 'uploads/a.jpg'

// A window hears of `online` and `offline`, and of what its document tells.
const window = new EventTarget()
const document = { hidden: false }
Object.assign(globalThis, { addEventListener: window.addEventListener.bind(window), document })

for (const onLambda of [true, false]) {
  test(`work is followed to its end without a word of lost connections${onLambda ? ' on AWS Lambda' : ''}`, async (t) => {
    const results = fakeResults()
    results.set(foundJob(key, { updatedAt: new Date() }))
    const app = await createApp(apiOptions({ results, onLambda }))
    t.after(() => app.close())
    const baseUrl = await app.listen({ host: '127.0.0.1', port: 0 })
    const seen: string[] = []
    const lost: unknown[] = []
    const ended = follow({
      ...{ key, version: undefined, take: 0, signal: t.signal },
      session: { with: (use) => use(createPromenadeClient({ baseUrl }) as never) } as Session,
      onResult: ({ status }) => seen.push(status),
      onLost: (error) => lost.push(error),
    })
    await until(() => seen.length >= 1)
    // Longer than any stream there asks its clients to stay away.
    await sleep(onLambda ? 3_500 : 0)
    results.set(foundJob(key, { state: 'processing', stage: 'storing', updatedAt: new Date() }))
    await until(() => seen.length >= 2)
    results.set(succeededJob(key, { updatedAt: new Date() }))
    assert.equal((await ended).status, 'succeeded')
    assert.deepEqual(seen, ['queued', 'processing', 'succeeded'])
    assert.deepEqual(lost, [])
  })
}

test('who does not see the page holds no connection, and is told of all that has come meanwhile when it is seen again', async (t) => {
  const results = fakeResults()
  results.set(foundJob(key, { updatedAt: new Date() }))
  const app = await createApp(apiOptions({ results }))
  t.after(() => app.close())
  let open = 0
  app.server.on('request', (_request, response) => {
    open++
    response.on('close', () => open--)
  })
  const baseUrl = await app.listen({ host: '127.0.0.1', port: 0 })
  const see = (isSeen: boolean) => {
    document.hidden = !isSeen
    window.dispatchEvent(new Event('visibilitychange'))
  }
  t.after(() => see(true))
  const seen: string[] = []
  const ended = follow({
    ...{ key, version: undefined, take: 0, signal: t.signal },
    session: { with: (use) => use(createPromenadeClient({ baseUrl }) as never) } as Session,
    onResult: ({ status }) => seen.push(status),
    onLost: () => assert.fail('nothing is lost'),
  })
  await until(() => seen.length >= 1)
  see(false)
  await until(() => open === 0)
  results.set(succeededJob(key, { updatedAt: new Date() }))
  await sleep(300)
  see(false)
  assert.deepEqual([open, seen], [0, ['queued']])
  see(true)
  await ended
  assert.deepEqual(seen, ['queued', 'succeeded'])
})

test('where no more calls are held for the key, work is followed all the same, and nothing is said to be away', async (t) => {
  const results = fakeResults()
  results.set(foundJob(key, { updatedAt: new Date() }))
  const app = await createApp(apiOptions({ results }))
  t.after(() => app.close())
  const baseUrl = await app.listen({ host: '127.0.0.1', port: 0 })
  const held = Array.from({ length: 1_001 }, () => app.inject(`/v1/results/${key}?take=0&wait=60`))
  assert.equal((await Promise.any(held)).statusCode, 503)
  const seen: string[] = []
  const lost: unknown[] = []
  const ended = follow({
    ...{ key, version: undefined, take: 0, signal: t.signal },
    session: { with: (use) => use(createPromenadeClient({ baseUrl }, createQuickClock()) as never) } as Session,
    onResult: ({ status }) => seen.push(status),
    onLost: (error) => lost.push(error),
  })
  await until(() => seen.length >= 1)
  results.set(foundJob(key, { state: 'processing', stage: 'storing', updatedAt: new Date() }))
  await until(() => seen.length >= 2)
  results.set(succeededJob(key, { updatedAt: new Date() }))
  await ended
  assert.deepEqual([seen, lost], [['queued', 'processing', 'succeeded'], []])
  await Promise.all(held)
})

test('a service that stays away is told of, and its return is by the next result', async (t) => {
  const results = fakeResults()
  results.set(foundJob(key, { updatedAt: new Date() }))
  const app = await createApp(apiOptions({ results }))
  const wire = await startTcpProxy(Number(new URL(await app.listen({ host: '127.0.0.1', port: 0 })).port))
  t.after(async () => {
    await wire.close()
    await app.close()
  })
  const told: (string | undefined)[] = []
  const baseUrl = `http://127.0.0.1:${wire.port}`
  const ended = follow({
    ...{ key, version: undefined, take: 0, signal: t.signal },
    session: { with: (use) => use(createPromenadeClient({ baseUrl }) as never) } as Session,
    onResult: ({ status }) => told.push(status),
    onLost: (error) => told.push(error?.code),
  })
  await until(() => told.length >= 1)
  wire.reset()
  await until(() => told.length >= 2)
  wire.pass()
  results.set(succeededJob(key, { updatedAt: new Date() }))
  await ended
  assert.deepEqual([...new Set(told)], ['queued', 'NETWORK_ERROR', 'succeeded'])
})
