import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPresigningClient } from '#shared/aws/clients.ts'
import { createPresigner } from '#shared/aws/presign.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { credentials, testPresigner } from '../../../presigner.ts'
import { formFault, requestFault } from '../../../s3-signature.ts'

const bucket = 'pictures'
const key = 'uploads/2026/한국어 +&(1).png'
const minute = 60_000
const { secretAccessKey } = credentials
const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const upload = { key, contentType: 'image/png', metadata: { traceparent }, expiresInSeconds: 900 }

const presigner = testPresigner(bucket)
const soon = () => ({ secretAccessKey, now: new Date(Date.now() + 14 * minute) })
const late = () => ({ secretAccessKey, now: new Date(Date.now() + 15 * minute + 1_000) })

test('a form is taken as it was signed, and with nothing else', async () => {
  const { url, fields, expiresAt } = await presigner.post({ ...upload, minBytes: 1, maxBytes: 1000 })
  assert.equal(url, 'https://pictures.s3.us-east-1.amazonaws.com/')
  assert.equal(fields['x-amz-meta-traceparent'], traceparent)
  assert.ok(Math.abs(expiresAt.getTime() - Date.now() - 15 * minute) < minute / 2)
  for (const bytes of [1, 1000]) assert.equal(formFault(fields, bytes, soon()), undefined)
  for (const bytes of [0, 1001]) assert.equal(formFault(fields, bytes, soon()), 'size')
  for (const [name, value] of [
    ['key', 'uploads/other.png'],
    ['Content-Type', 'text/html'],
    ['x-amz-meta-traceparent', 'another'],
    ['bucket', 'another'],
    ['acl', 'public-read'],
    ['success_action_redirect', 'https://evil.example'],
  ] as const) {
    assert.equal(formFault({ ...fields, [name]: value }, 5, soon()), name.toLowerCase())
  }
  assert.equal(formFault({ ...fields, Policy: btoa('{"conditions":[]}') }, 5, soon()), 'signature')
  assert.equal(formFault(fields, 5, late()), 'expired')
})

test('bytes alone are taken with the type, the length and the metadata that were signed, and no checksum is asked for', async () => {
  const { url, headers } = await presigner.put({ ...upload, bytes: 1000 })
  assert.deepEqual(headers, { 'content-type': 'image/png', 'x-amz-meta-traceparent': traceparent })
  assert.doesNotMatch(url, /checksum/i)
  const sent = { ...headers, 'content-length': '1000' }
  const request = { method: 'PUT', url, headers: sent }
  assert.equal(requestFault(request, soon()), undefined)
  assert.equal(requestFault(request, late()), 'expired')
  for (const other of [
    { 'content-length': '1001' },
    { 'content-type': 'text/html' },
    { 'x-amz-meta-traceparent': 'another' },
  ]) {
    assert.equal(requestFault({ ...request, headers: { ...sent, ...other } }, soon()), 'signature')
  }
  assert.equal(requestFault({ ...request, headers: { ...sent, 'x-amz-acl': 'public-read' } }, soon()), 'x-amz-acl')
  assert.equal(requestFault({ ...request, method: 'GET' }, soon()), 'signature')
  assert.equal(requestFault({ ...request, url: url.replace('2026', '2027') }, soon()), 'signature')
})

test('an object is read with its address alone', async () => {
  const { url } = await presigner.get({ key, expiresInSeconds: 900 })
  assert.doesNotMatch(url, /checksum/i)
  assert.equal(requestFault({ method: 'GET', url, headers: {} }, soon()), undefined)
  assert.equal(requestFault({ method: 'GET', url, headers: {} }, late()), 'expired')
  assert.equal(decodeURIComponent(new URL(url).pathname), `/${key}`)
})

test('of the version that is named, to be shown or to be saved', async () => {
  const { url } = await presigner.get({ key, versionId: 'v/1', disposition: 'inline', expiresInSeconds: 900 })
  const { searchParams } = new URL(url)
  assert.equal(searchParams.get('versionId'), 'v/1')
  assert.equal(searchParams.get('response-content-disposition'), 'inline')
  const request = { method: 'GET', url, headers: {} }
  assert.equal(requestFault(request, soon()), undefined)
  for (const [one, other] of [
    ['v%2F1', 'v2'],
    ['inline', 'attachment'],
  ] as const) {
    assert.equal(requestFault({ ...request, url: url.replace(one, other) }, soon()), 'signature')
  }
})

test('who asks again soon is given the same address, which is good for as long as was asked for', async (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.parse('2026-01-02T03:04:05.678Z') })
  const ask = async () => (await presigner.get({ key, expiresInSeconds: 900, sameForSeconds: 60 })).url
  const first = await ask()
  t.mock.timers.setTime(Date.parse('2026-01-02T03:04:59.999Z'))
  assert.equal(await ask(), first)
  assert.equal(requestFault({ method: 'GET', url: first, headers: {} }, soon()), undefined)
  t.mock.timers.setTime(Date.parse('2026-01-02T03:05:00Z'))
  assert.notEqual(await ask(), first)
})

test('with another endpoint the addresses are there, by path', async () => {
  const local = testPresigner(bucket, 'http://127.0.0.1:4566')
  assert.match(
    (await local.get({ key, expiresInSeconds: 900 })).url,
    /^http:\/\/127\.0\.0\.1:4566\/pictures\/uploads\//,
  )
  assert.match(
    (await local.post({ ...upload, minBytes: 1, maxBytes: 9 })).url,
    /^http:\/\/127\.0\.0\.1:4566\/pictures\/?$/,
  )
})

test('an address ends when the credentials do that signed it', async () => {
  const expiration = new Date(Date.now() + 6 * minute)
  const s3 = createPresigningClient({ region: 'us-east-1', credentials: { ...credentials, expiration } })
  const { expiresAt } = await createPresigner({ s3, bucket }).get({ key, expiresInSeconds: 900 })
  assert.deepEqual(expiresAt, expiration)
})

test('without credentials the store is not available', async () => {
  const s3 = createPresigningClient({
    region: 'us-east-1',
    credentials: async () => {
      throw new Error('none found')
    },
  })
  await assert.rejects(
    createPresigner({ s3, bucket }).get({ key, expiresInSeconds: 900 }),
    (error) => error instanceof RetryableFailure && error.code === 'STORAGE_UNAVAILABLE',
  )
})
