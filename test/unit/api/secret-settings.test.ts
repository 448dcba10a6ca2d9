import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { ConfigError } from '#shared/config.ts'
import { readSecretSettings } from '../../../services/api/secret-settings.ts'

test('a Secrets Manager that never answers ends the reading within a minute', { timeout: 10_000 }, async (t) => {
  const server = createServer(() => {}).listen(0, '127.0.0.1')
  t.after(() => server.closeAllConnections())
  t.after(() => server.close())
  await once(server, 'listening')
  Object.assign(process.env, {
    AWS_REGION: 'eu-west-1',
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  })
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let fault: Error | undefined
  readSecretSettings({ SECRETS: '{"API_KEYS":"arn:keys"}' }).catch((error) => {
    fault = error
  })
  for (let requests = 0; requests < 3; requests++) {
    await once(server, 'request')
    t.mock.timers.tick(5_000)
    await setImmediate()
    t.mock.timers.tick(15_000)
  }
  await setImmediate()
  assert.equal(fault?.name, 'TimeoutError')
})

for (const text of ['{x}', '{"API_KEYS":1}', '{"API_KEYS":""}', '{"API_KEY":"arn:keys"}']) {
  test(`SECRETS of ${text} is a fault of the settings`, async () => {
    await assert.rejects(readSecretSettings({ SECRETS: text }), (error) => {
      assert.ok(error instanceof ConfigError)
      assert.match(error.faults.join(), /^SECRETS must be JSON of settings and their secrets/)
      return true
    })
  })
}
