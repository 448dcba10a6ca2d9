import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import Fastify from 'fastify'
import type { Problem } from '#shared/contract/result.ts'
import { type Observe, watchTraffic } from '../../../services/api/plugins/traffic.ts'
import { until } from '../../until.ts'

test('requests are counted while they are in flight, and observed once when they end', async (t) => {
  const { app, url, inFlight, observed, release } = await start(t)
  const answer = fetch(`${url}/slow`)
  await until(() => inFlight() === 1)
  release()
  assert.equal((await answer).status, 200)
  await until(() => observed.length === 1)
  assert.equal(inFlight(), 0)
  assert.equal((await app.inject('/nothing')).statusCode, 404)
  await until(() => observed.length === 2)
  assert.deepEqual(observed, ['/slow 200', 'undefined 404'])
})

test('a client that goes away is no longer in flight', async (t) => {
  const { url, inFlight, observed } = await start(t)
  const call = get(`${url}/slow`)
  call.on('error', () => {})
  await until(() => inFlight() === 1)
  call.destroy()
  await until(() => inFlight() === 0)
  assert.deepEqual(observed, ['/slow 499'])
})

test('a handler that takes too long is answered for; a stream that is under way is left alone', async (t) => {
  const { url, more } = await start(t)
  const stream = get(`${url}/stream`)
  const [streamed] = (await once(stream, 'response')) as [IncomingMessage]
  const late = await fetch(`${url}/late`)
  assert.deepEqual([late.status, ((await late.json()) as Problem).code], [504, 'TIMEOUT'])
  more.push('the end')
  more.push(null)
  assert.equal(await text(streamed), 'the beginning, the end')
})

test('closing lets what is under way finish, and ends the connections that clients would keep', async (t) => {
  const { app, url, inFlight, release } = await start(t)
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  const idle = connect(Number(new URL(url).port), '127.0.0.1')
  await once(idle, 'connect')
  const call = get(`${url}/slow`, { agent })
  await until(() => inFlight() === 1)
  const closed = app.close()
  const idleEnd = once(idle.resume(), 'close')
  await until(() => !app.server.listening)
  release()
  const [response] = (await once(call, 'response')) as [IncomingMessage]
  assert.equal(response.statusCode, 200)
  assert.equal(response.headers.connection, 'close')
  response.resume()
  await Promise.all([closed, idleEnd])
})

for (const path of ['/slow', '/nothing', '/%']) {
  test(`a connection that asks for ${path} again and again and reads nothing is ended, and others are answered`, async (t) => {
    const { app, url, inFlight, observed, release } = await start(t)
    const socket = connect(Number(new URL(url).port), '127.0.0.1').pause()
    socket.on('error', () => {})
    t.after(() => socket.destroy())
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(1_000))
    const [served] = (await once(app.server, 'connection')) as [Socket]
    if (!served.closed) await once(served, 'close')
    await until(() => inFlight() === 0)
    assert.ok(observed.length <= 16, `${observed.length} were answered`)
    release()
    assert.equal((await fetch(`${url}/slow`)).status, 200)
  })
}

test('a connection may be owed sixteen answers, and is given them in order', async (t) => {
  const { url, inFlight, release } = await start(t)
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  const paths = Array.from({ length: 16 }, (_, i) => (i % 2 ? '/slow' : '/nothing'))
  socket.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
  await until(() => inFlight() > 0)
  release()
  let answers = ''
  const statuses = () => Array.from(answers.matchAll(/HTTP\/1\.1 (\d+)/g), ([, status]) => status)
  for await (const bytes of socket) {
    answers += bytes
    if (statuses().length === paths.length) break
  }
  assert.deepEqual(
    statuses(),
    paths.map((path) => (path === '/slow' ? '200' : '404')),
  )
})

test('closing does not wait for a body that does not come, and does for the answer to one that has', async (t) => {
  const { app, url, inFlight, release } = await start(t)
  const { port } = new URL(url)
  const slow = connect(Number(port), '127.0.0.1')
  t.after(() => slow.destroy())
  slow.write('POST /slow HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{')
  const call = fetch(`${url}/slow`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } })
  await until(() => inFlight() === 2)
  const closed = app.close()
  await once(slow.resume(), 'close', { signal: AbortSignal.timeout(4_000) })
  await until(() => inFlight() === 1)
  release()
  assert.equal((await call).status, 200)
  await closed
})

async function start(t: TestContext) {
  const observed: string[] = []
  const { promise, resolve: release } = Promise.withResolvers<void>()
  const observe: Observe = ({ routeOptions: { url } }, { status }) => observed.push(`${url} ${status}`)
  const app = Fastify({ return503OnClosing: false })
  const inFlight = watchTraffic(app, observe)
  const answerSlowly = async () => {
    await promise
    return {}
  }
  app.get('/slow', answerSlowly)
  app.post('/slow', answerSlowly)
  const config = { timeoutSeconds: 0.01 }
  const more = new Readable({ read() {} })
  more.push('the beginning, ')
  app.get('/late', { config }, answerSlowly)
  app.get('/stream', { config }, async (_request, reply) => reply.send(more))
  t.after(async () => {
    release()
    await app.close()
  })
  return { app, url: await app.listen({ host: '127.0.0.1', port: 0 }), inFlight, observed, release, more }
}
