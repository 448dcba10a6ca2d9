import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { after, before, type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { APIGatewayProxyEventV2, APIGatewayProxyStructuredResultV2 } from 'aws-lambda'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { gatewayEvent } from '../gateway-event.ts'
import { uploadOf } from '../job.ts'
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts'

const apiKey = 'a-key-of-the-app'
const keys = [
  'uploads/plain.jpg',
  'uploads/with space & more;x=y.jpg',
  'uploads/1+1=2.jpg',
  'uploads/100%.jpg',
  'uploads/%2F.jpg',
  'uploads/a=b#c.jpg',
  'uploads//double//slash/',
  'uploads/한국어/그림 😀.jpg',
  `uploads/${'한'.repeat(338)}ab`,
]
/** Answers events from standard input, one a line, as a function does: one after the other. */
const lambda = `
  import { createInterface } from 'node:readline'
  const { handler } = await import('./services/api/main.lambda.ts')
  for await (const line of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await handler(JSON.parse(line), {})))
  }
  process.exit()
`

let stack: Stack
let proxy: TcpProxy
let database: Database
let env: Record<string, string>

before(async () => {
  stack = await startStack()
  const url = new URL(stack.env.DATABASE_URL!)
  proxy = await startTcpProxy(Number(url.port))
  url.port = String(proxy.port)
  env = { ...stack.env, DATABASE_URL: url.href, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'info', API_KEYS: apiKey }
  database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  const jobs = createJobs({ database })
  for (const key of keys) await jobs.receive(uploadOf(key, { bucket: stack.env.BUCKET! }))
})

after(async () => {
  await database?.close()
  await proxy?.close()
  await stack?.close()
})

test('told to stop, as by a Ctrl-C that comes twice, the server answers what is under way, ends every connection, and is gone', async (t) => {
  const { api, origin } = await startServer(t)
  const agent = new Agent({ keepAlive: true })
  t.after(() => agent.destroy())
  assert.equal((await call(`${origin}/v1/results/${keys[0]}`, agent)).statusCode, 200)
  const unused = connect(Number(new URL(origin).port), '127.0.0.1')
  await once(unused, 'connect')
  const unfinished = connect(Number(new URL(origin).port), '127.0.0.1').resume()
  const head = `Authorization: Bearer ${apiKey}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n`
  unfinished.write(`POST /v1/uploads HTTP/1.1\r\nHost: x\r\n${head}\r\n{`)
  proxy.delay(700)
  t.after(() => proxy.pass())
  const answer = call(`${origin}/v1/results/${keys[0]}`, agent)
  // Until it waits for the database.
  await sleep(300)
  const exit = once(api, 'exit')
  const closed = once(unused.resume(), 'close')
  api.kill('SIGINT')
  await sleep(100)
  api.kill('SIGINT')
  await closed
  const { statusCode, headers } = await answer
  assert.equal(statusCode, 200)
  assert.equal(headers.connection, 'close')
  assert.deepEqual(await exit, [0, null])
})

test('told so twice, it is gone at once', async (t) => {
  const { api, origin } = await startServer(t)
  proxy.hold()
  t.after(() => proxy.pass())
  const answer = call(`${origin}/v1/results/${keys[0]}`)
  answer.catch(() => {})
  await sleep(200)
  const exit = once(api, 'exit')
  api.kill('SIGTERM')
  await sleep(600)
  api.kill('SIGTERM')
  assert.deepEqual(await exit, [1, null])
  await assert.rejects(answer)
})

test('on AWS Lambda the same app answers the events of an HTTP API and of a function URL', async (t) => {
  const invoke = startFunction(t)
  const headers = { authorization: `Bearer ${apiKey}` }
  const domainName = 'abc123.lambda-url.eu-central-1.on.aws'
  for (const key of keys) {
    const decoded = await invoke(gatewayEvent({ rawPath: `/v1/results/${key}`, headers }))
    const encoded = await invoke(
      gatewayEvent({ rawPath: `/v1/results/${encodeURIComponent(key)}`, headers, domainName }),
    )
    for (const { statusCode, body } of [decoded, encoded]) {
      assert.equal(statusCode, 200, body)
      assert.equal(JSON.parse(body!).key, key)
    }
    assert.deepEqual(decoded.headers!.etag, encoded.headers!.etag)
  }
  const rawPath = `/v1/results/${keys[0]}`
  const found = await invoke(gatewayEvent({ rawPath, rawQueryString: 'version=e1', headers }))
  assert.equal(found.statusCode, 200)
  assert.equal(found.isBase64Encoded, false)
  for (const value of Object.values(found.headers!)) assert.equal(typeof value, 'string')
  const again = await invoke(
    gatewayEvent({ rawPath, headers: { ...headers, 'if-none-match': String(found.headers!.etag) } }),
  )
  assert.deepEqual([again.statusCode, again.body], [304, ''])
  // The work is not done: what would stream ends, and is asked for again.
  const stream = await invoke(gatewayEvent({ rawPath, headers: { ...headers, accept: 'text/event-stream' } }))
  assert.equal(stream.statusCode, 200)
  assert.match(stream.body!, /^retry: \d+\n\nid: .+\nevent: progress\ndata: {.+}\n\n$/)
  for (const [event, status, code] of [
    [gatewayEvent({ rawPath }), 401, 'UNAUTHORIZED'],
    [gatewayEvent({ rawPath, rawQueryString: 'version=a&version=b', headers }), 400, 'INVALID_REQUEST'],
    [gatewayEvent({ rawPath, rawQueryString: 'version=a%2Cb', headers }), 404, 'RESULT_NOT_FOUND'],
    [gatewayEvent({ rawPath: '/nothing', headers }), 404, 'INVALID_REQUEST'],
  ] as const) {
    const { statusCode, headers: answered, body } = await invoke(event)
    assert.equal(statusCode, status, body)
    assert.equal(JSON.parse(body!).code, code)
    assert.equal(answered!['content-type'], 'application/problem+json')
  }
})

async function startServer(t: TestContext) {
  const api = run(t, ['services/api/main.ts'])
  for await (const line of createInterface({ input: api.stdout! })) {
    const origin = /^listening on (http:\S+)$/.exec(JSON.parse(line).msg)?.[1]
    if (!origin) continue
    api.stdout!.resume()
    return { api, origin }
  }
  throw new Error('the server ended before it listened')
}

function startFunction(t: TestContext) {
  const child = run(t, ['--input-type=module', '--eval', lambda])
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  return async (event: APIGatewayProxyEventV2): Promise<APIGatewayProxyStructuredResultV2> => {
    child.stdin!.write(`${JSON.stringify(event)}\n`)
    for (;;) {
      const { value, done } = await lines.next()
      if (done) throw new Error('the function ended')
      const line = JSON.parse(value)
      // The rest is its log.
      if ('statusCode' in line) return line
    }
  }
}

function run(t: TestContext, options: string[]): ChildProcess {
  const { PATH } = process.env
  const child = spawn(process.execPath, options, {
    env: { PATH, ...env },
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: 60_000,
  })
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  })
  return child
}

async function call(url: string, agent?: Agent): Promise<IncomingMessage> {
  const sent = get(url, { headers: { authorization: `Bearer ${apiKey}` }, ...(agent && { agent }) })
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  await response.toArray()
  return response
}
