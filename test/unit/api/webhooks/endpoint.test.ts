import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Webhook } from 'standardwebhooks'
import { ConfigError } from '#shared/config.ts'
import { readEndpoints } from '../../../../services/api/webhooks/endpoint.ts'

const secret = `whsec_${Buffer.alloc(32, 'hunter2').toString('base64')}`
const other = `whsec_${Buffer.alloc(24, 'hunter3').toString('base64')}`
const url = 'https://app.example/hooks?token=hunter2'

const read = (endpoints: unknown, WEBHOOKS_ALLOW_PRIVATE?: string) =>
  readEndpoints({
    WEBHOOKS: typeof endpoints === 'string' ? endpoints : JSON.stringify(endpoints),
    ...(WEBHOOKS_ALLOW_PRIVATE && { WEBHOOKS_ALLOW_PRIVATE }),
  })

test('without the setting there are none', () => {
  assert.deepEqual(readEndpoints({}).endpoints, [])
})

test('an endpoint has an address, a name for logs that tells no secret, and the events that it wants', () => {
  const [all, some] = read([
    { url, secrets: [secret] },
    { url: 'https://app.example/', secrets: [secret], events: ['result.failed'] },
  ]).endpoints
  assert.equal(all!.url.href, url)
  assert.match(all!.name, /^app\.example [0-9a-f]{8}$/)
  assert.notEqual(all!.id, some!.id)
  assert.deepEqual((['succeeded', 'failed', 'canceled'] as const).map(all!.wants), [true, true, true])
  assert.deepEqual((['succeeded', 'failed', 'canceled'] as const).map(some!.wants), [false, true, false])
})

test('while secrets change each of them verifies, and the endpoint stays the same', () => {
  const [before] = read([{ url, secrets: [other] }]).endpoints
  const [endpoint] = read([{ url, secrets: [secret, other] }]).endpoints
  assert.equal(endpoint!.id, before!.id)
  const at = new Date()
  const headers = {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
    'webhook-signature': endpoint!.sign('msg_1', at, '{"a":1}'),
  }
  assert.match(headers['webhook-signature'], /^v1,\S+ v1,\S+$/)
  for (const each of [secret, other]) assert.deepEqual(new Webhook(each).verify('{"a":1}', headers), { a: 1 })
  assert.throws(() => new Webhook(secret).verify('{"a":2}', headers), /No matching signature/)
})

test('an address of a private network must be named, in whatever notation it stands', () => {
  const hosts = [
    '127.0.0.1',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '127.0.0.1.',
    '１２７.0.0.1',
    '[::ffff:127.0.0.1]',
  ]
  for (const host of hosts) {
    const endpoints = [{ url: `https://${host}:8443/`, secrets: [secret] }]
    assert.match(
      faultsOf(() => read(endpoints))[0]!,
      /^WEBHOOKS\/0\/url must be at a public address, or WEBHOOKS_ALLOW/,
    )
    assert.equal(read(endpoints, '127.0.0.1, 10.0.0.0/8').endpoints.length, 1)
  }
  for (const host of ['169.254.169.254', '[fd00:ec2::254]', '[::1]', '[64:ff9b::7f00:1]', '0']) {
    faultsOf(() => read([{ url: `https://${host}/`, secrets: [secret] }]))
  }
})

test('http is for endpoints that say so', () => {
  const endpoint = { url: 'http://app.example/', secrets: [secret] }
  assert.match(faultsOf(() => read([endpoint]))[0]!, /allow_http/)
  assert.equal(read([{ ...endpoint, allow_http: true }]).endpoints.length, 1)
})

test('every fault of every endpoint is told at once', () => {
  const faults = faultsOf(() =>
    read([
      { url: 'http://user:hunter2@app.example/', secrets: ['hunter2', secret, `${secret}hunter2`] },
      { url: 'hunter2', secrets: [secret.slice(0, 30)] },
      { url: 'file:///hunter2', secrets: [secret] },
    ]),
  )
  assert.deepEqual(
    faults.map((fault) => fault.split(' ')[0]),
    ['0/secrets/0', '0/secrets/2', '0/url', '0/url', '1/url', '1/secrets/0', '2/url'].map((each) => `WEBHOOKS/${each}`),
  )
})

for (const [name, given, fault] of [
  ['no JSON', `[{"url":"${url}","secrets":[${secret}]}]`, /^WEBHOOKS must be JSON/],
  ['no array', { url, secrets: [secret] }, /^WEBHOOKS must be array/],
  ['no secret', [{ url, secrets: [] }], /^WEBHOOKS\/0\/secrets must not have fewer than 1/],
  ['a missing field', [{ url }], /^WEBHOOKS\/0 must have required properties secrets/],
  ['an unknown field', [{ url, secrets: [secret], [secret]: 'hunter2' }], /^WEBHOOKS\/0 must not have additional/],
  ['an unknown event', [{ url, secrets: [secret], events: ['hunter2'] }], /^WEBHOOKS\/0\/events\/0 must be equal/],
  ['one url twice', [1, 2].map(() => ({ url, secrets: [secret] })), /^WEBHOOKS has one url twice/],
  ['too many', Array.from({ length: 11 }, (_, i) => ({ url: `${url}${i}`, secrets: [secret] })), /more than 10/],
] as const) {
  test(`a setting with ${name} is refused`, () => {
    assert.match(faultsOf(() => read(given))[0]!, fault)
  })
}

test('networks that are none are refused', () => {
  for (const networks of ['10.0.0.0/8,hunter2', '10.0.0.0/8 192.168.0.0/16']) {
    assert.match(faultsOf(() => read([], networks))[0]!, /^WEBHOOKS_ALLOW_PRIVATE must be/)
  }
})

/** That repeat nothing of what was given. */
function faultsOf(run: () => unknown): readonly string[] {
  try {
    run()
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error))
    assert.doesNotMatch(`${error.stack}`, /hunter|whsec_[A-Za-z0-9]/)
    assert.equal(error.cause, undefined)
    return error.faults
  }
  assert.fail('the settings were accepted')
}
