import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import Value from 'typebox/value'
import { Problem } from '#shared/contract/result.ts'
import { type AppOptions, createApp } from '../../../services/api/app.ts'
import { describeInvalid } from '../../../services/api/plugins/problem.ts'
import { apiOptions } from '../../api-options.ts'

const json = { 'content-type': 'application/json' }
const path = '/v1/results/uploads/a.jpg'

for (const [name, url, status, detail] of [
  ['two of a parameter', `${path}?version=a&version=b`, 400, 'querystring/version must be string'],
  ['an unknown parameter', `${path}?verison=a`, 400, 'querystring must NOT have additional properties: verison'],
  ['an array for a scalar', `${path}?version[]=a`, 400, 'querystring must NOT have additional properties: version[]'],
  ['a parameter named like a prototype', `${path}?__proto__=a`, 400, /additional properties|__proto__/],
  ['an encoded nul', '/v1/results/uploads/a%00', 400, 'the image key has a nul byte'],
  ['a broken escape', '/%zz', 400, /./],
  ['nothing there', '/v1/nothing', 404, 'there is nothing at this address'],
] as const) {
  test(`${name} is a problem with a detail`, async (t) => {
    const app = await start(t)
    const response = await app.inject(url)
    const problem = assertProblem(response, status, 'INVALID_REQUEST')
    if (typeof detail === 'string') assert.equal(problem.detail, detail)
    else assert.match(problem.detail!, detail)
    assert.match(problem.instance!, /^urn:uuid:[0-9a-f-]{36}$/)
  })
}

test('bodies that are not JSON, too large, of another type, or would poison a prototype are problems', async (t) => {
  const app = await start(t, (closed) => {
    closed.post('/body', { config: { scope: 'act' }, schema: { body: { type: 'object' } } }, async ({ body }) => ({
      polluted: (body as { polluted?: unknown }).polluted ?? 'no',
    }))
  })
  const post = (payload: string, headers: Record<string, string> = json) =>
    app.inject({ method: 'POST', url: '/body', payload, headers })
  for (const [payload, status, headers] of [
    ['{"a":', 400],
    ['', 400],
    ['null', 400],
    ['[]', 400],
    ['1e999', 400],
    ['{"__proto__":{"polluted":"yes"}}', 400],
    ['{"constructor":{"prototype":{"polluted":"yes"}}}', 400],
    ['['.repeat(30_000) + ']'.repeat(30_000), 400],
    [`{"a":"${'x'.repeat(70_000)}"}`, 413],
    ['a=b', 415, { 'content-type': 'application/x-www-form-urlencoded' }],
    ['{}', 415, { 'content-type': 'text/plain' }],
    ['{}', 415, { 'content-type': 'application/json, text/html' }],
    ['{}', 415, { 'content-type': '' }],
  ] as const) {
    assertProblem(await post(payload, headers), status, 'INVALID_REQUEST')
  }
  const unknown = await app.inject({ method: 'POST', url: '/analyze', payload: { image_url: 'x', more: 1 } })
  assert.equal(unknown.json().detail, 'body must not have additional properties: more')
  assert.deepEqual((await post('{"a":{"b":[1e999]}}')).json(), { polluted: 'no' })
})

test('a schema tells what it would take', () => {
  const fault = (params: Record<string, unknown>, instancePath = '') =>
    describeInvalid([{ keyword: 'x', schemaPath: '', instancePath, message: 'must be so', params }], 'body').message
  assert.equal(fault({}, '/styles/0'), 'body/styles/0 must be so')
  assert.equal(fault({ allowedValues: ['queued', 'failed'] }, '/state'), 'body/state must be so: queued, failed')
  assert.equal(fault({ additionalProperty: 'x'.repeat(1_000) }).length, 'body must be so: '.length + 100)
})

test('every response has the headers that protect, and browsers may read those of the origins set', async (t) => {
  const app = await start(t, undefined, { corsOrigins: ['https://app.example', 'http://localhost:5173'] })
  const call = (method: 'GET' | 'OPTIONS', origin: string, more = {}) =>
    app.inject({ method, url: path, headers: { origin, ...more } })
  const found = await call('GET', 'https://app.example')
  assert.equal(found.headers['x-content-type-options'], 'nosniff')
  assert.match(String(found.headers['content-security-policy']), /^default-src 'none'/)
  assert.equal(found.headers['access-control-allow-origin'], 'https://app.example')
  assert.match(String(found.headers['access-control-expose-headers']), /ETag.*Location.*RateLimit.*Retry-After/)
  assert.equal(found.headers.vary, 'Origin')
  const preflight = await call('OPTIONS', 'http://localhost:5173', {
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization',
  })
  assert.equal(preflight.statusCode, 204)
  assert.equal(preflight.headers['access-control-allow-origin'], 'http://localhost:5173')
  assert.equal(preflight.headers['access-control-allow-methods'], 'GET,HEAD,POST')
  assert.match(String(preflight.headers['access-control-allow-headers']), /Authorization.*Idempotency-Key/)
  for (const origin of ['https://app.example.evil', 'https://APP.example', 'null']) {
    assert.equal((await call('GET', origin)).headers['access-control-allow-origin'], undefined)
  }
  assertProblem(await app.inject('/nothing'), 404, 'INVALID_REQUEST')
  assertProblem(await app.inject({ method: 'DELETE', url: path }), 405, 'INVALID_REQUEST')
})

test('what is as of now, and says nothing else of it, is kept by no cache', async (t) => {
  const app = await start(t)
  for (const url of ['/healthz', '/readyz', '/info', '/metrics', '/openapi.json', '/docs']) {
    assert.equal((await app.inject(url)).headers['cache-control'], 'no-store', url)
  }
})

test('a path that the router cannot read is answered with the same headers, and to a preflight as any other', async (t) => {
  const origin = 'https://app.example'
  const app = await start(t, undefined, { corsOrigins: [origin] })
  const url = '/v1/results/uploads/%zz'
  const response = await app.inject({ url, headers: { origin } })
  assert.match(assertProblem(response, 400, 'INVALID_REQUEST').detail!, /%zz/)
  assert.equal(response.headers['x-content-type-options'], 'nosniff')
  assert.equal(response.headers['access-control-allow-origin'], origin)
  const asked = { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' }
  const preflight = await app.inject({ method: 'OPTIONS', url, headers: asked })
  assert.deepEqual([preflight.statusCode, preflight.headers['access-control-allow-origin']], [204, origin])
})

test('HTTP/1.1 without a Host is a problem too, and HTTP/1.0 is answered', async (t) => {
  const app = await start(t)
  const { port } = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
  for (const [version, status] of [
    ['1.1', 400],
    ['1.0', 200],
  ]) {
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    socket.write(`GET /healthz HTTP/${version}\r\nConnection: close\r\n\r\n`)
    const [head, body] = (await text(socket)).split('\r\n\r\n')
    assert.match(head!, new RegExp(`^HTTP/1.1 ${status} `))
    if (status === 400) assert.deepEqual(Value.Errors(Problem, JSON.parse(body!)), [])
  }
})

async function start(
  t: TestContext,
  more: (app: Awaited<ReturnType<typeof createApp>>) => void = () => {},
  options: Partial<AppOptions> = {},
) {
  const app = await createApp(apiOptions(options))
  more(app)
  t.after(() => app.close())
  return app
}

function assertProblem(response: { statusCode: number; headers: object; body: string }, status: number, code: string) {
  assert.equal(response.statusCode, status, response.body)
  const problem: Problem = JSON.parse(response.body)
  assert.deepEqual(Value.Errors(Problem, problem), [])
  assert.deepEqual({ status: problem.status, code: problem.code }, { status, code })
  return problem
}
