import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { createPromenadeClient } from '../../../../services/api/client/client.ts'
import { answer, createQuickClock, lost, type Received, type Step, startScriptedApi } from '../../../scripted-api.ts'

const key = 'uploads/2026/a.jpg'
const bytes = new TextEncoder().encode('a picture')
const stored: Step = (response) => void response.writeHead(204).end()

test('a picture goes to the bucket by the form that the API gives, last in it, and without the key of the API', async (t) => {
  const { client, api, bucket } = await start(t, [stored])
  const picture = new File([bytes], '고양이.jpg', { type: 'image/jpeg' })
  assert.equal((await client.upload(picture)).key, key)
  assert.deepEqual(JSON.parse(api[0]!.body), {
    content_type: 'image/jpeg',
    method: 'POST',
    size_bytes: bytes.length,
    filename: '고양이.jpg',
  })
  assert.equal(bucket[0]!.headers.authorization, undefined)
  const form = await formOf(bucket[0]!)
  assert.deepEqual(
    Array.from(form, ([name]) => name),
    ['key', 'policy', 'file'],
  )
  assert.equal(form.get('policy'), 'p+/=')
  assert.deepEqual(await (form.get('file') as File).text(), 'a picture')
})

test('bytes go by PUT when asked to, with the headers that the API gives', async (t) => {
  const { client, api, bucket } = await start(t, [answer(200)])
  for (const picture of [bytes, bytes.buffer, new Blob([bytes])]) {
    await client.upload(picture, { method: 'PUT', contentType: 'image/png', filename: 'a.png' })
  }
  assert.equal(JSON.parse(api[0]!.body).size_bytes, bytes.length)
  assert.equal(bucket.length, 3)
  for (const { method, body, headers } of bucket) {
    assert.deepEqual([method, body, headers['content-type']], ['PUT', 'a picture', 'image/png'])
    assert.equal(headers.authorization, undefined)
  }
})

test('a bucket that is away is tried again, and one that refuses is told', async (t) => {
  const busy = await start(t, [lost, answer(503, 'SlowDown'), stored])
  await busy.client.upload(bytes, { contentType: 'image/png' })
  assert.deepEqual([busy.api.length, busy.bucket.length], [1, 3])
  const refusing = await start(t, [answer(403, 'AccessDenied')])
  await assert.rejects(refusing.client.upload(bytes, { contentType: 'image/png' }), {
    name: 'PromenadeError',
    code: 'UPLOAD_REFUSED',
    status: 403,
    retryable: false,
  })
  assert.equal(refusing.bucket.length, 1)
})

test('a file of React Native is given to its FormData as it is', async (t) => {
  const { client, api } = await start(t, [stored])
  const appended: unknown[] = []
  const { FormData } = globalThis
  t.after(() => Object.assign(globalThis, { FormData }))
  class NativeFormData extends FormData {
    override append(...pair: [name: string, value: Blob | string, filename?: string]) {
      appended.push(pair)
    }
  }
  Object.assign(globalThis, { FormData: NativeFormData })
  await client.upload({ uri: 'file:///a.jpg', type: 'image/jpeg', name: 'a.jpg' })
  assert.equal('size_bytes' in JSON.parse(api[0]!.body), false)
  assert.deepEqual(appended.at(-1), ['file', { uri: 'file:///a.jpg', type: 'image/jpeg', name: 'a.jpg' }])
})

test('what a picture is must be known', async (t) => {
  const { client, api } = await start(t, [stored])
  await assert.rejects(client.upload(bytes), /Expected contentType/)
  assert.equal(api.length, 0)
})

function formOf({ headers, body }: Received): Promise<FormData> {
  return new Response(body, { headers: { 'content-type': headers['content-type']! } }).formData()
}

/** An API that leads to a bucket, which answers by the steps. */
async function start(t: TestContext, steps: Step[]) {
  const bucket = await startScriptedApi(t, steps)
  const api = await startScriptedApi(t, [
    (response, request) => {
      const { method } = JSON.parse(request.body)
      const how = method === 'PUT' ? { headers: { 'content-type': 'image/png' } } : { fields: { key, policy: 'p+/=' } }
      const upload = { method, url: bucket.baseUrl, expires_at: '', max_bytes: 100, ...how }
      response.writeHead(201, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ key, result_url: '', upload }))
    },
  ])
  const client = createPromenadeClient({ baseUrl: api.baseUrl, apiKey: 'a-key-of-the-app' }, createQuickClock())
  return { client, api: api.received, bucket: bucket.received }
}
