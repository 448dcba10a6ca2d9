import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { imageKeyFault } from '#shared/contract/key.ts'
import { createApp } from '../../../services/api/app.ts'
import { uploadKey } from '../../../services/api/upload-key.ts'
import { noOrders, noResults } from '../../found-job.ts'
import { bucket } from '../../job.ts'
import { credentials, testPresigner } from '../../presigner.ts'
import { formFault, requestFault } from '../../s3-signature.ts'

const maxImageBytes = 1000
const { secretAccessKey } = credentials
const trace = '4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const now = new Date()

test('the answer to a POST holds all that an upload takes, and what it says is what was signed', async (t) => {
  const response = await post(t, { content_type: 'image/jpeg' })
  assert.equal(response.statusCode, 201, response.body)
  assert.equal(response.headers['cache-control'], 'no-store')
  const { key, result_url, upload, ...others } = response.json()
  assert.deepEqual(others, {})
  assert.match(key, /^uploads\/\d{4}\/\d\d\/\d\d\/[0-9a-f-]{36}\.jpg$/)
  assert.equal(result_url, `/v1/results/${key}`)
  assert.equal(response.headers.location, result_url)
  const { method, url, fields, expires_at, max_bytes } = upload
  assert.deepEqual([method, max_bytes], ['POST', maxImageBytes])
  assert.equal(url, 'https://pictures.s3.us-east-1.amazonaws.com/')
  assert.deepEqual([fields.key, fields['Content-Type']], [key, 'image/jpeg'])
  assert.ok(Math.abs(Date.parse(expires_at) - Date.now() - 15 * 60_000) < 30_000)
  for (const [bytes, fault] of [
    [0, 'size'],
    [1, undefined],
    [1000, undefined],
    [1001, 'size'],
  ] as const) {
    assert.equal(formFault(fields, bytes, { secretAccessKey, now }), fault)
  }
})

test('a size given is the only one taken', async (t) => {
  const { upload } = (await post(t, { content_type: 'image/png', size_bytes: 5 })).json()
  assert.equal(upload.max_bytes, 5)
  for (const bytes of [4, 6]) assert.equal(formFault(upload.fields, bytes, { secretAccessKey, now }), 'size')
  assert.equal(formFault(upload.fields, 5, { secretAccessKey, now }), undefined)
})

test('the answer to a PUT is for bytes of that length', async (t) => {
  const { key, upload } = (await post(t, { content_type: 'image/avif', size_bytes: 5, method: 'PUT' })).json()
  const { method, url, headers } = upload
  assert.ok(url.startsWith(`https://pictures.s3.us-east-1.amazonaws.com/${key}?`))
  assert.deepEqual(headers, { 'content-type': 'image/avif' })
  const sent = { method, url, headers: { ...headers, 'content-length': '5' } }
  assert.equal(requestFault(sent, { secretAccessKey, now }), undefined)
})

for (const [header, kept] of [
  [`00-${trace}`, `00-${trace}`],
  [`01-${trace}-${'x'.repeat(3000)}`, `00-${trace}`],
  ['nonsense', undefined],
  [`00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, undefined],
] as const) {
  test(`a traceparent ${header.slice(0, 60)} goes with the picture as ${kept}`, async (t) => {
    const form = await post(t, { content_type: 'image/png' }, { traceparent: header })
    assert.equal(form.json().upload.fields['x-amz-meta-traceparent'], kept)
    const bytes = await post(t, { content_type: 'image/png', size_bytes: 1, method: 'PUT' }, { traceparent: header })
    assert.equal(bytes.json().upload.headers['x-amz-meta-traceparent'], kept)
  })
}

for (const [name, body, status, code] of [
  ['no type', {}, 400, 'INVALID_REQUEST'],
  ['a type that is not read', { content_type: 'image/svg+xml' }, 400, 'INVALID_REQUEST'],
  ['a header in the type', { content_type: 'image/png\r\nx-evil: 1' }, 400, 'INVALID_REQUEST'],
  ['an empty picture', { content_type: 'image/png', size_bytes: 0 }, 400, 'INVALID_REQUEST'],
  ['half a byte', { content_type: 'image/png', size_bytes: 1.5 }, 400, 'INVALID_REQUEST'],
  ['a size beyond all', { content_type: 'image/png', size_bytes: 1e300 }, 413, 'IMAGE_TOO_LARGE'],
  ['too large a picture', { content_type: 'image/png', size_bytes: 1001 }, 413, 'IMAGE_TOO_LARGE'],
  ['a PUT without size', { content_type: 'image/png', method: 'PUT' }, 400, 'INVALID_REQUEST'],
  ['a key of their own', { content_type: 'image/png', key: 'uploads/mine.png' }, 400, 'INVALID_REQUEST'],
  ['a long name', { content_type: 'image/png', filename: 'x'.repeat(1025) }, 400, 'INVALID_REQUEST'],
  ['no object', [], 400, 'INVALID_REQUEST'],
] as const) {
  test(`${name} is ${status} ${code}`, async (t) => {
    const response = await post(t, body)
    assert.deepEqual([response.statusCode, response.json().code], [status, code], response.body)
  })
}

for (const [filename, expected] of [
  ['beach.JPG', '/beach.png'],
  ['Ferien am Meer (2).heic', '/Ferien-am-Meer-2.png'],
  ['그림 1.jpeg'.normalize('NFD'), '/그림-1.png'],
  ['../../etc/passwd', '/passwd.png'],
  ['C:\\fakepath\\a b.png', '/a-b.png'],
  ['..', '.png'],
  ['\0😀\n.png', '.png'],
  ['<script>alert(1)</script>', '/script.png'],
  ['𠮷'.repeat(200), `/${'𠮷'.repeat(64)}.png`],
] as const) {
  test(`of the name ${JSON.stringify(filename.slice(0, 30))} the key has ${expected.slice(0, 30)}`, () => {
    const day = new Date('2026-01-02T23:59:59.999Z')
    const key = uploadKey({ id: 'id', now: day, filename, extension: 'png' })
    assert.equal(key, `uploads/2026/01/02/id${expected}`)
    assert.equal(imageKeyFault(key), undefined)
  })
}

test('the address of a result has the key percent-encoded', async (t) => {
  const { key, result_url } = (await post(t, { content_type: 'image/gif', filename: '그림.gif' })).json()
  assert.match(key, /\/그림\.gif$/)
  assert.equal(decodeURIComponent(result_url), `/v1/results/${key}`)
  assert.match(result_url, /^[\w%/.-]+$/)
})

async function post(t: TestContext, payload: object, headers: Record<string, string> = {}) {
  const app = await createApp({
    results: noResults,
    objects: { head: async () => undefined, ping: async () => {} },
    presigner: testPresigner(bucket),
    ...noOrders,
    database: { ping: async () => {} },
    bucket,
    maxImageBytes,
    auth: 'none',
    logger: pino({ level: 'silent' }),
  })
  t.after(() => app.close())
  return app.inject({ method: 'POST', url: '/v1/uploads', payload, headers })
}
