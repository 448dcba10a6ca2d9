import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '#shared/config.ts'
import { digestOf, findApiKey, readApiKeys, readBearer } from '../../../services/api/api-key.ts'

const plain = 'a-key-of-the-app'
const other = 'another-key-of-16'
const digest = digestOf(other).toString('hex')

test('keys are plain, with scopes, or digests, and several at once', () => {
  const text = `${plain}, ${other}:read+admin,sha256:${digest.toUpperCase()}`
  assert.throws(() => readApiKeys(text), /the same key more than once/)
  for (const [entry, key, scopes] of [
    [plain, plain, ['read', 'upload', 'act']],
    [`${plain}:read`, plain, ['read']],
    [`${plain}:admin`, plain, ['admin']],
    [`sha256:${digest}`, other, ['read', 'upload', 'act']],
    [`sha256:${digest.toUpperCase()}:upload+act`, other, ['upload', 'act']],
  ] as const) {
    const keys = readApiKeys(`${entry}, yet-another-key-of-ours==:read`)
    assert.equal(keys.length, 2)
    assert.deepEqual([...findApiKey(keys, digestOf(key))!.scopes], scopes, entry)
    assert.equal(findApiKey(keys, digestOf(`${key}x`)), undefined)
  }
})

for (const [entry, fault] of [
  ['', /key 2 is empty/],
  ['hunter2-hunter2', /key 2 is too short: at least 16/],
  ['hunter2 hunter2 hunter2', /key 2 has characters/],
  ['hunter2-hunter2-hunter2:', /key 2 has an unknown scope/],
  ['hunter2-hunter2-hunter2:read+write', /key 2 has an unknown scope: expected some of read\+upload\+act\+admin/],
  ['hunter2-hunter2-hunter2:read:act', /key 2 has too many colons/],
  ['sha256:hunter2', /key 2 is not a SHA-256/],
  [`sha256:${digestOf('').toString('hex')}`, /key 2 is the SHA-256 of nothing/],
] as const) {
  test(`${entry || 'nothing'} is no key, and is not repeated`, () => {
    assert.throws(
      () => readApiKeys(`${plain},${entry}`),
      (error) => error instanceof ConfigError && fault.test(error.message) && !/hunter2|app/.test(error.message),
    )
  })
}

test('every fault is told at once', () => {
  assert.throws(
    () => readApiKeys('short,,x:y'),
    (error) => error instanceof ConfigError && error.faults.length === 3,
  )
})

test('a bearer token is read as HTTP writes it', () => {
  for (const header of [`Bearer ${plain}`, `bearer  ${plain}`, `BEARER ${plain}`])
    assert.equal(readBearer(header), plain)
  for (const header of [undefined, '', 'Bearer', 'Bearer ', `Basic ${plain}`, plain, `Bearer ${plain} x`, 'Bearer é']) {
    assert.equal(readBearer(header), undefined)
  }
})
