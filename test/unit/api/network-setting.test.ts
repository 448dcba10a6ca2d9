import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '#shared/config.ts'
import { readOrigins, readProxies } from '../../../services/api/network-setting.ts'

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

test('proxies are addresses and networks', () => {
  assert.deepEqual(readProxies(), [])
  assert.deepEqual(readProxies('10.0.0.0/8, 192.0.2.1,fd00::/8'), ['10.0.0.0/8', '192.0.2.1', 'fd00::/8'])
  for (const text of ['true', '1', '10.0.0.256', '10.0.0.0/33', 'fd00::/129', 'proxy.example']) {
    assert.throws(() => readProxies(text), ConfigError, text)
  }
})
