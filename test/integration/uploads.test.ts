import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { musicKey, objectUrl } from '#shared/contract/key.ts'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { createJobs, type Jobs } from '#shared/db/jobs.ts'
import { createResults } from '#shared/db/results.ts'
import { createApp } from '../../services/api/app.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { apiOptions } from '../api-options.ts'
import { analysisOf, uploadOf } from '../job.ts'

const bytes = Buffer.from('the bytes of a picture')
const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

let stack: Stack
let bucket: string
let database: Database
let jobs: Jobs
let app: Awaited<ReturnType<typeof createApp>>
let origin: string

before(async () => {
  stack = await startStack()
  bucket = stack.env.BUCKET!
  database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  jobs = createJobs({ database })
  app = await createApp(
    apiOptions({
      results: createResults({ database, bucket }),
      objects: createObjectStore({ s3: stack.s3, bucket }),
      database,
      bucket,
      endpoint: stack.env.AWS_ENDPOINT_URL,
    }),
  )
  origin = await app.listen({ host: '127.0.0.1', port: 0 })
})

after(async () => {
  await app?.close()
  await database?.close()
  await stack?.close()
})

for (const method of ['POST', 'PUT'] as const) {
  test(`a picture uploaded by ${method} is where the answer says, with its type and trace, and its result can be asked for`, async () => {
    const { key, result_url, upload } = await order({
      method,
      content_type: 'image/png',
      size_bytes: bytes.length,
      filename: '내 그림.png',
    })
    const form = new FormData()
    for (const [name, value] of Object.entries<string>(upload.fields ?? {})) form.append(name, value)
    form.append('file', new Blob([bytes]), 'whatever.png')
    const sent = await fetch(upload.url, {
      method: upload.method,
      ...(upload.headers && { headers: upload.headers }),
      body: method === 'POST' ? form : bytes,
    })
    assert.ok(sent.ok, `${sent.status} ${await sent.text()}`)

    const head = await stack.s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }))
    assert.equal(head.ContentType, 'image/png')
    assert.deepEqual(head.Metadata, { traceparent })
    const stored = await stack.s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }))
    assert.deepEqual(Buffer.from(await stored.Body!.transformToByteArray()), bytes)

    const result = await json(await fetch(`${origin}${result_url}?image_url=presigned`))
    assert.deepEqual({ key: result.key, status: result.status }, { key, status: 'queued' })
    const shown = await fetch(result.image_url)
    assert.equal(shown.headers.get('content-type'), 'image/png')
    assert.deepEqual(Buffer.from(await shown.arrayBuffer()), bytes)
  })
}

test('the music of a finished result is read by its presigned address, whatever its name, from one result and the list', async () => {
  const music = Buffer.from('the bytes of a WAV')
  const upload = uploadOf('uploads/한국어/a+b & 100%2F (1).jpg', { bucket })
  const id = await jobs.receive(upload)
  const key = musicKey(upload.key, id)
  const musicUrl = objectUrl({ bucket, region: stack.env.AWS_REGION!, key })
  await stack.s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: music, ContentType: 'audio/wav' }))
  await jobs.claim(id, { token: 'a', leaseSeconds: 60 })
  await jobs.succeed({ id, token: 'a', analysis: { ...analysisOf(upload), musicUrl } })

  const one = await fetch(`${origin}/v1/results/${encodeURIComponent(upload.key)}?music_url=presigned`)
  const list = await fetch(`${origin}/v1/results?state=succeeded&music_url=presigned`)
  assert.equal(list.headers.get('cache-control'), 'private, no-store')
  for (const url of [(await json(one)).music_url, (await json(list)).results[0].music_url]) {
    assert.notEqual(url, musicUrl)
    const read = await fetch(url)
    assert.equal(read.headers.get('content-type'), 'audio/wav')
    assert.deepEqual(Buffer.from(await read.arrayBuffer()), music)
  }
  const plain = await fetch(`${origin}/v1/results?state=succeeded`)
  assert.equal((await json(plain)).results[0].music_url, musicUrl)
})

async function order(body: object) {
  const response = await fetch(`${origin}/v1/uploads`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent },
    body: JSON.stringify(body),
  })
  assert.equal(response.status, 201)
  return json(response)
}

async function json(response: Response) {
  return JSON.parse(await response.text())
}
