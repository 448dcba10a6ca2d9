import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net'
import { test as boundlessTest, type TestContext } from 'node:test'
import { createAddressRule } from '../../../../services/api/webhooks/address.ts'
import { createSender } from '../../../../services/api/webhooks/sender.ts'

const mayReach = createAddressRule(['127.0.0.1'])
const signal = new AbortController().signal

/** None waits for ever for what is not sent, told or closed. */
const test = (name: string, use: (t: TestContext) => Promise<void>) => boundlessTest(name, { timeout: 30_000 }, use)

test('a message is posted as it is, and the answer is its status', async (t) => {
  let got: unknown
  const port = await listen(t, async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString()
    got = { method: request.method, url: request.url, host: request.headers.host, a: request.headers.a, body }
    response.writeHead(429, { 'retry-after': '7' }).end('slow down')
  })
  const url = new URL(`http://127.0.0.1:${port}/hooks?a=b`)
  const answer = await createSender({ mayReach })({ url, headers: { a: 'b' }, body: '{"그림":1}', signal })
  assert.deepEqual(answer, { status: 429, retryAfter: '7' })
  assert.deepEqual(got, { method: 'POST', url: '/hooks?a=b', host: url.host, a: 'b', body: '{"그림":1}' })
})

test('a redirect is an answer, and is not followed', async (t) => {
  let calls = 0
  const port = await listen(t, (_request, response) => {
    calls++
    response.writeHead(307, { location: '/elsewhere' }).end()
  })
  assert.equal((await post(`http://127.0.0.1:${port}/`)).status, 307)
  assert.equal(calls, 1)
})

test('an answer without end is not listened to', async (t) => {
  const closed = Promise.withResolvers<void>()
  const port = await listen(t, (_request, response) => {
    response.writeHead(200)
    const more = () => {
      while (response.write(Buffer.alloc(65_536)));
    }
    response.on('drain', more).on('close', closed.resolve)
    more()
  })
  assert.equal((await post(`http://127.0.0.1:${port}/`)).status, 200)
  await closed.promise
})

test('an answer that would go on in another protocol is one of status 101, and nothing is said in that', async (t) => {
  const closed = Promise.withResolvers<void>()
  const port = await listenRaw(t, (socket) => {
    socket.on('close', closed.resolve)
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nmore')
  })
  assert.equal((await post(`http://127.0.0.1:${port}/`)).status, 101)
  await closed.promise
})

test('a connection that ends without an answer is a failure, whatever has come before', async (t) => {
  for (const said of ['', 'HTTP/1.1 103 Early Hints\r\n\r\n', 'HTTP/1.1 200 OK\r\n', 'hello\r\n\r\n']) {
    const port = await listenRaw(t, (socket) => socket.end(said))
    await assert.rejects(post(`http://127.0.0.1:${port}/`), Error, said)
  }
})

test('silence has its time', async (t) => {
  const port = await listen(t, () => {})
  await assert.rejects(post(`http://127.0.0.1:${port}/`, { timeoutMs: 50 }), /^Error: no answer within 50 ms$/)
})

test('a call that is under way can be aborted', async (t) => {
  const abort = new AbortController()
  const port = await listen(t, () => abort.abort())
  const url = new URL(`http://127.0.0.1:${port}/`)
  await assert.rejects(createSender({ mayReach })({ url, headers: {}, body: '', signal: abort.signal }), {
    code: 'ABORT_ERR',
  })
})

test('an address in the URL is judged before anything is sent to it', async (t) => {
  const port = await listen(t, () => assert.fail('it was called'))
  for (const host of ['127.0.0.1', '2130706433', '[::ffff:127.0.0.1]', '0.0.0.0']) {
    await assert.rejects(post(`http://${host}:${port}/`, { mayReach: createAddressRule([]) }), { code: 'EACCES' })
  }
})

test('a name that resolves to a private address is refused, also the second time it is asked', async (t) => {
  const port = await listen(t, (_request, response) => response.end())
  let asked = 0
  const send = createSender({
    mayReach,
    // As a name does that is rebound: good when it is looked at, bad when it is used.
    lookup: (_name, found) => found(null, [{ address: asked++ === 0 ? '127.0.0.1' : '127.0.0.2', family: 4 }]),
  })
  const message = { url: new URL(`http://rebound.example:${port}/`), headers: {}, body: '', signal }
  assert.equal((await send(message)).status, 200)
  assert.equal(asked, 1, 'the address judged is the address used')
  await assert.rejects(send(message), { code: 'EACCES' })
  await assert.rejects(post(`http://localhost:${port}/`, { mayReach: createAddressRule([]) }), { code: 'EACCES' })
})

test('an https address is never called in clear text', async (t) => {
  const port = await listen(t, () => assert.fail('it was called'))
  await assert.rejects(post(`https://127.0.0.1:${port}/`), /SSL|EPROTO|ECONNRESET|disconnected/)
})

function post(url: string, options: Partial<Parameters<typeof createSender>[0]> = {}) {
  return createSender({ mayReach, ...options })({ url: new URL(url), headers: {}, body: '{}', signal })
}

/** Answers by `answer` once something has been asked. */
async function listenRaw(t: TestContext, answer: (socket: Socket) => void): Promise<number> {
  const server = createTcpServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => answer(socket))
    t.after(() => socket.destroy())
  }).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function listen(t: TestContext, listener: RequestListener): Promise<number> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
