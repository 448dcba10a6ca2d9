import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { createApp } from '../../../services/api/app.ts'
import { apiOptions } from '../../api-options.ts'

const post = 'POST /v1/uploads HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'

test('what has not come within ten seconds, its body included, is answered 408', async (t) => {
  const { open } = await start(t)
  const halfSent = [
    'GET / HTTP/1.1\r\nHo',
    `${post}Content-Length: 20\r\n\r\n{`,
    `${post}Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n`,
  ]
  const begun = performance.now()
  const answers = await Promise.all(
    halfSent.map((each) => {
      const socket = open()
      socket.write(each)
      return text(socket)
    }),
  )
  const seconds = (performance.now() - begun) / 1000
  for (const answer of answers) assert.match(answer, /^HTTP\/1\.1 408 .*"code":"TIMEOUT"/s)
  assert.ok(seconds > 9 && seconds < 30, `${seconds} s`)
})

test('who reads nothing of what it asked for is cut off, later than any call is held', async (t) => {
  const { app, open } = await start(t)
  assert.ok(app.server.timeout > 80_000)
  app.server.timeout = 200
  const socket = open().pause()
  socket.write('GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(16))
  const [served] = (await once(app.server, 'connection')) as [Socket]
  await once(served, 'close')
})

test('the description is made text of once, however often it is asked for', async (t) => {
  const { app } = await start(t)
  let times = 0
  Object.assign(app.swagger(), { toJSON: () => `text ${++times}` })
  for (const url of ['/openapi.json', '/docs/json', '/openapi.json']) {
    const { headers, body } = await app.inject(url)
    assert.deepEqual([headers['content-type'], body], ['application/json; charset=utf-8', '"text 1"'])
  }
})

async function start(t: TestContext) {
  const app = await createApp(apiOptions())
  t.after(async () => {
    app.server.closeAllConnections()
    await app.close()
  })
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  return {
    app,
    open(): Socket {
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('error', () => {})
      return socket
    },
  }
}
