import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DeleteObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import type { FauxqsServer } from 'fauxqs'
import { createPresigningClient, createS3Client } from '#shared/aws/clients.ts'
import { createPresigner, type Presigner } from '#shared/aws/presign.ts'
import { region, startEmulator } from '../../services/local/emulator.ts'

const page = 'http://127.0.0.1:8080'
const key = 'uploads/그림 1.png'
const bytes = Buffer.from('0123456789')
const upload = { key, contentType: 'image/png', metadata: { traceparent: 'a-trace' }, expiresInSeconds: 60 }

let emulator: FauxqsServer
let presigner: Presigner
let s3: S3Client

before(async () => {
  emulator = await startEmulator()
  emulator.createBucket('pictures')
  const location = { region, endpoint: emulator.address, credentials: { accessKeyId: 'a', secretAccessKey: 'b' } }
  s3 = createS3Client(location)
  presigner = createPresigner({ s3: createPresigningClient(location), bucket: 'pictures' })
})

after(async () => {
  s3?.destroy()
  await emulator?.stop()
})

test('a page uploads by the presigned form, and reads the picture, its head and a part of it', async () => {
  const { url, fields } = await presigner.post({ ...upload, minBytes: 1, maxBytes: 100 })
  // Who watches the progress of an upload asks beforehand.
  assertAllowed(await preflight(url, 'POST'))
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  form.append('file', new Blob([bytes]), 'picture.png')
  const posted = await fetch(url, { method: 'POST', headers: { origin: page }, body: form })
  assert.equal(posted.status, 204)
  assertAllowed(posted)

  const { url: picture } = await presigner.get({ key, expiresInSeconds: 60 })
  const whole = await fetch(picture, { headers: { origin: page } })
  assertAllowed(whole)
  assert.equal(whole.headers.get('content-type'), 'image/png')
  assert.equal(whole.headers.get('accept-ranges'), 'bytes')
  assert.deepEqual(Buffer.from(await whole.arrayBuffer()), bytes)
  assertAllowed(await preflight(picture, 'GET', 'range'))
  for (const [range, says, part] of [
    ['bytes=0-', 'bytes 0-9/10', '0123456789'],
    ['bytes=3-5', 'bytes 3-5/10', '345'],
    ['bytes=8-99', 'bytes 8-9/10', '89'],
  ] as const) {
    const response = await fetch(picture, { headers: { origin: page, range } })
    assertAllowed(response)
    assert.deepEqual([response.status, response.headers.get('content-range')], [206, says])
    assert.equal(await response.text(), part)
  }
  const head = await fetch(picture, { method: 'HEAD', headers: { origin: page } })
  assertAllowed(head)
  assert.deepEqual([head.headers.get('content-length'), head.headers.get('accept-ranges')], ['10', 'bytes'])
})

test('a page uploads by PUT, with what the address was signed with', async () => {
  const { url, headers } = await presigner.put({ ...upload, bytes: bytes.length })
  assertAllowed(await preflight(url, 'PUT', Object.keys(headers).join(',')))
  const put = await fetch(url, { method: 'PUT', headers: { ...headers, origin: page }, body: bytes })
  assert.equal(put.status, 200)
  assertAllowed(put)
})

test('a page can read what went wrong', async () => {
  await s3.send(new DeleteObjectCommand({ Bucket: 'pictures', Key: key }))
  const { url } = await presigner.get({ key, expiresInSeconds: 60 })
  const missing = await fetch(url, { headers: { origin: page } })
  assert.equal(missing.status, 404)
  assertAllowed(missing)
  assert.match(await missing.text(), /<Code>NoSuchKey/)
  const malformed = await fetch(`${emulator.address}/pictures`, {
    method: 'POST',
    headers: { origin: page, 'content-type': 'multipart/form-data' },
    body: 'nothing',
  })
  assert.equal(malformed.status, 400)
  assertAllowed(malformed)
})

test('pages of this machine only, and only for what the bucket’s rule names', async () => {
  const url = `${emulator.address}/pictures/${key}`
  for (const origin of ['http://localhost:5173', 'http://127.0.0.1', 'http://[::1]:8080']) {
    assertAllowed(await preflight(url, 'GET', undefined, origin), origin)
  }
  for (const [method, headers, origin] of [
    ['DELETE', undefined, page],
    ['PUT', 'x-other', page],
    ['GET', undefined, 'https://evil.example'],
    ['GET', undefined, 'http://localhost.evil.example'],
    ['GET', undefined, 'null'],
  ] as const) {
    const { status, headers: answered } = await preflight(url, method, headers, origin)
    assert.deepEqual([status, answered.get('access-control-allow-origin')], [403, null], `${method} from ${origin}`)
  }
  assert.equal((await fetch(url, { method: 'OPTIONS' })).status, 400)
  const others = await fetch(url, { headers: { origin: 'https://evil.example' } })
  assert.equal(others.headers.get('access-control-allow-origin'), null)
  const queues = await fetch(emulator.address, { method: 'POST', headers: { origin: page } })
  assert.equal(queues.headers.get('access-control-allow-origin'), null)
})

function preflight(url: string, method: string, headers?: string, origin = page): Promise<Response> {
  return fetch(url, {
    method: 'OPTIONS',
    headers: {
      origin,
      'access-control-request-method': method,
      ...(headers && { 'access-control-request-headers': headers }),
    },
  })
}

function assertAllowed({ status, headers }: Response, origin = page): void {
  assert.equal(headers.get('access-control-allow-origin'), origin, `${status}`)
  assert.match(headers.get('access-control-expose-headers')!, /ETag, Content-Length, Content-Range/)
  assert.match(headers.get('vary')!, /Origin/)
}
