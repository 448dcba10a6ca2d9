import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Fastify from 'fastify'
import { readApiKeys, scopes } from '../../../services/api/api-key.ts'
import { type Auth, closeTo } from '../../../services/api/plugins/access.ts'
import { answerProblems } from '../../../services/api/plugins/problem.ts'

const keys = {
  app: 'a-key-of-the-app',
  reader: 'a-key-that-may-read',
  operator: 'a-key-of-operators',
}
const auth = { keys: readApiKeys(`${keys.app},${keys.reader}:read,${keys.operator}:admin`) }

test('a key opens the routes of its scopes, and is told which one it lacks', async (t) => {
  const app = await start(t, auth)
  const may = { app: ['read', 'upload', 'act'], reader: ['read'], operator: [...scopes] }
  for (const [name, allowed] of Object.entries(may)) {
    const authorization = `Bearer ${keys[name as keyof typeof keys]}`
    for (const scope of scopes) {
      const response = await app.inject({ url: `/${scope}`, headers: { authorization } })
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
  const app = await start(t, auth)
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
  const app = await start(t, 'none')
  for (const scope of scopes) assert.deepEqual((await app.inject(`/${scope}`)).json(), { caller: 'anyone' })
})

test('a closed route that does not say its scope is not begun with', async () => {
  const app = Fastify()
  closeTo(app, 'none')
  assert.throws(() => app.get('/forgotten', async () => ({})), /Expected config.scope at \/forgotten/)
})

test('no keys is not open', () => {
  assert.throws(() => closeTo(Fastify(), { keys: [] }), /Expected at least one API key/)
})

async function start(t: TestContext, auth: Auth) {
  const app = Fastify()
  t.after(() => app.close())
  answerProblems(app)
  closeTo(app, auth)
  for (const scope of scopes) app.get(`/${scope}`, { config: { scope } }, async ({ caller }) => ({ caller }))
  return app
}
