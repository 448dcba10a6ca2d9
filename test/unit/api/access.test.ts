import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Fastify from 'fastify'
import { readApiKeys, scopes } from '../../../services/api/api-key.ts'
import { type AccessOptions, createAccess } from '../../../services/api/plugins/access.ts'
import { answerProblems } from '../../../services/api/plugins/problem.ts'

const keys = {
  app: 'a-key-of-the-app',
  reader: 'a-key-that-may-read',
  operator: 'a-key-of-operators',
}
const auth = { keys: readApiKeys(`${keys.app},${keys.reader}:read,${keys.operator}:admin`) }

test('a key opens the routes of its scopes, and is told which one it lacks', async (t) => {
  const { get } = await start(t, { auth })
  const may = { app: ['read', 'upload', 'act'], reader: ['read'], operator: [...scopes] }
  for (const [name, allowed] of Object.entries(may)) {
    for (const scope of scopes) {
      const response = await get(`/${scope}`, { key: keys[name as keyof typeof keys] })
      if (allowed.includes(scope)) {
        assert.equal(response.statusCode, 200)
        assert.match(response.json().caller, /^[0-9a-f]{16}$/)
      } else {
        assert.equal(response.statusCode, 403)
        assert.equal(response.json().code, 'FORBIDDEN')
        assert.equal(response.headers['www-authenticate'], `Bearer error="insufficient_scope", scope="${scope}"`)
      }
    }
  }
})

test('without one of the keys nothing is answered but 401 and how to ask', async (t) => {
  const { app } = await start(t, { auth })
  for (const [authorization, challenge] of [
    [undefined, 'Bearer'],
    ['Bearer', 'Bearer error="invalid_token"'],
    ['Bearer ', 'Bearer error="invalid_token"'],
    ['Bearer a-wrong-key-of-ours', 'Bearer error="invalid_token"'],
    [`Bearer ${keys.app}x`, 'Bearer error="invalid_token"'],
    [`Basic ${keys.app}`, 'Bearer error="invalid_token"'],
  ]) {
    const response = await app.inject({ url: '/read', headers: authorization ? { authorization } : {} })
    assert.equal(response.statusCode, 401, authorization)
    assert.equal(response.json().code, 'UNAUTHORIZED')
    assert.equal(response.headers['www-authenticate'], challenge)
    assert.doesNotMatch(response.body, /wrong|of-the-app/)
  }
})

test('with auth none everyone is let in, as anyone', async (t) => {
  const { get } = await start(t, { auth: 'none' })
  for (const scope of scopes) assert.deepEqual((await get(`/${scope}`)).json(), { caller: 'anyone' })
})

test('a closed route that does not say its scope is not begun with', async () => {
  const app = Fastify()
  createAccess({ auth: 'none', requestsPerMinute: 0 }).close(app)
  assert.throws(() => app.get('/forgotten', async () => ({})), /Expected config.scope at \/forgotten/)
})

test('no keys is not open', () => {
  assert.throws(() => createAccess({ auth: { keys: [] }, requestsPerMinute: 0 }), /Expected at least one API key/)
})

test('each key has its requests a minute, told in the headers; then 429 until the next', async (t) => {
  const { get, pass } = await start(t, { auth, requestsPerMinute: 2 })
  const first = await get('/read', { key: keys.app })
  assert.equal(first.headers['ratelimit-policy'], '"minute";q=2;w=60')
  assert.equal(first.headers.ratelimit, '"minute";r=1;t=60')
  pass(15_000)
  assert.equal((await get('/read', { key: keys.app })).headers.ratelimit, '"minute";r=0;t=45')
  const third = await get('/read', { key: keys.app })
  assert.equal(third.statusCode, 429)
  assert.equal(third.json().code, 'RATE_LIMITED')
  assert.equal(third.headers['retry-after'], '45')
  assert.equal((await get('/read', { key: keys.reader })).statusCode, 200)
  pass(45_000)
  assert.equal((await get('/read', { key: keys.app })).statusCode, 200)
})

test('where keys are not asked for, each address has its requests', async (t) => {
  const { get } = await start(t, { auth: 'none', requestsPerMinute: 1 })
  assert.equal((await get('/read', { address: '192.0.2.1' })).statusCode, 200)
  assert.equal((await get('/read', { address: '192.0.2.1' })).statusCode, 429)
  assert.equal((await get('/read', { address: '192.0.2.2' })).statusCode, 200)
})

test('an address that guesses keys has to wait, while known keys pass; one wrong key again and again is no guess', async (t) => {
  const { get, pass } = await start(t, { auth })
  const guesser = '192.0.2.1'
  for (let i = 0; i < 50; i++) {
    assert.equal((await get('/read', { key: 'a-key-of-last-year', address: guesser })).statusCode, 401)
  }
  for (let i = 0; i < 19; i++) {
    assert.equal((await get('/read', { key: `a-key-of-year-${i}`, address: guesser })).statusCode, 401)
  }
  const response = await get('/read', { key: 'a-key-of-year-20', address: guesser })
  assert.equal(response.statusCode, 429)
  assert.equal(response.headers['retry-after'], '60')
  assert.equal((await get('/read', { key: keys.app, address: guesser })).statusCode, 200, 'others may be behind it')
  assert.equal((await get('/read', { key: 'a-key-of-year-20', address: '192.0.2.2' })).statusCode, 401)
  pass(60_000)
  assert.equal((await get('/read', { key: 'a-key-of-year-20', address: guesser })).statusCode, 401)
})

async function start(t: TestContext, options: Pick<AccessOptions, 'auth'> & Partial<AccessOptions>) {
  // With a minute more, it is rounded up.
  let time = 5_536 + 4 / 7
  const app = Fastify()
  t.after(() => app.close())
  answerProblems(app)
  createAccess({ requestsPerMinute: 0, now: () => time, ...options }).close(app)
  for (const scope of scopes) app.get(`/${scope}`, { config: { scope } }, async ({ caller }) => ({ caller }))
  return {
    app,
    pass: (milliseconds: number) => {
      time += milliseconds
    },
    get: (url: string, { key, address = '192.0.2.9' }: { key?: string; address?: string } = {}) =>
      app.inject({ url, remoteAddress: address, headers: key ? { authorization: `Bearer ${key}` } : {} }),
  }
}
