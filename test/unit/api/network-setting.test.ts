import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '#shared/config.ts'
import { readNetworks, readOrigins } from '../../../services/api/network-setting.ts'

test('origins are exact, of any scheme', () => {
  assert.deepEqual(readOrigins(), [])
  assert.deepEqual(readOrigins('https://app.example, http://localhost:5173,capacitor://localhost'), [
    'https://app.example',
    'http://localhost:5173',
    'capacitor://localhost',
  ])
  for (const text of ['*', 'app.example', 'https://app.example/', 'https://*.app.example', 'https://u@app.example']) {
    assert.throws(() => readOrigins(text), ConfigError, text)
  }
})

for (const setting of ['TRUST_PROXY', 'WEBHOOKS_ALLOW_PRIVATE'] as const) {
  test(`${setting} is addresses and networks`, () => {
    assert.deepEqual(readNetworks(setting), [])
    assert.deepEqual(readNetworks(setting, '10.0.0.0/8, 192.0.2.1,fd00::/8'), ['10.0.0.0/8', '192.0.2.1', 'fd00::/8'])
    for (const text of ['true', '1', '10.0.0.256', '10.0.0.0/33', 'fd00::/129', 'proxy.example']) refuses(text)
    for (const text of ['10.0.0/8', 'localhost', '10.0.0.0/8/8', '10.0.0.0/', '::/129', '10.0.0.0/x']) refuses(text)
    refuses('10.0.0.0/8 192.168.0.0/16')
  })

  const refuses = (text: string) =>
    assert.throws(() => readNetworks(setting, text), {
      name: 'ConfigError',
      faults: [`${setting} must be addresses or networks separated by commas: 10.1.0.0/16,127.0.0.1`],
    })
}
