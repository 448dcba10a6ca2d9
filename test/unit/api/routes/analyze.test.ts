import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { FoundJob } from '#shared/db/results.ts'
import { createApp } from '../../../../services/api/app.ts'
import { apiOptions } from '../../../api-options.ts'
import { fakeResults, foundJob, succeededJob } from '../../../found-job.ts'
import { until } from '../../../until.ts'

const key = 'uploads/a b.jpg'
const imageUrl = 'https://pictures.s3.us-east-1.amazonaws.com/uploads/a%20b.jpg'

async function start(t: TestContext, found: FoundJob | undefined, version: string | undefined = found?.job.version) {
  const results = fakeResults()
  if (found) results.set(found)
  const object = version === undefined ? undefined : { etag: version, size: 3, lastModified: new Date(0) }
  const objects = { head: async () => object, ping: async () => {} }
  const app = await createApp(apiOptions({ results, objects }))
  t.after(() => app.close())
  const analyze = (payload: object = { image_url: imageUrl }) =>
    app.inject({ method: 'POST', url: '/analyze', payload })
  return { app, results, analyze }
}

test('the answer has exactly the fields of the existing app', async (t) => {
  const { analyze } = await start(t, succeededJob(key))
  const response = await analyze()
  assert.equal(response.statusCode, 200)
  assert.equal(response.headers['content-type'], 'application/json; charset=utf-8')
  assert.deepEqual(response.json(), {
    genre: 'landscape',
    styles: ['Impressionism', 'Realism', 'Romanticism', 'Fauvism', 'Baroque'],
    image_url: 'https://pictures.s3.us-east-1.amazonaws.com/uploads/a.jpg',
    music_url: 'https://pictures.s3.us-east-1.amazonaws.com/generated/a.jpg/1.wav',
  })
})

test('it waits until the picture that is in the bucket now is done, whatever came of an older one', async (t) => {
  const { results, analyze } = await start(t, succeededJob(key, { version: 'v1', sequencer: '01' }), 'v2')
  const waiting = analyze()
  await until(() => results.standingsAsked >= 2)
  const { analysis, job } = succeededJob(key, { version: 'v2', sequencer: '02' })
  results.set({ job, analysis: { ...analysis!, genre: 'portrait' } })
  assert.equal((await waiting).json().genre, 'portrait')
})

test('a picture that is deleted when it is analysed keeps its answer; one that never was is not found', async (t) => {
  const { results, analyze } = await start(t, undefined)
  const response = await analyze()
  assert.deepEqual([response.statusCode, response.json().code], [404, 'IMAGE_NOT_FOUND'])
  results.set(succeededJob(key))
  assert.equal((await analyze()).statusCode, 200)
})

for (const [state, errorCode, status] of [
  ['failed', 'IMAGE_CORRUPT', 422],
  ['failed', 'IMAGE_TOO_LARGE', 413],
  ['failed', 'GENERATION_FAILED', 500],
  ['failed', 'MODEL_UNAVAILABLE', 503],
  ['canceled', 'CANCELED', 409],
] as const) {
  test(`a job that ${state} with ${errorCode} is a problem with its code: ${status}`, async (t) => {
    const error = { errorCode, errorMessage: 'so it is', errorRetryable: status >= 500 }
    const { analyze } = await start(t, foundJob(key, { state, ...error }))
    const response = await analyze()
    assert.equal(response.headers['content-type'], 'application/problem+json')
    assert.deepEqual([response.statusCode, response.json().code], [status, errorCode])
    if (status < 500) assert.equal(response.json().detail, 'so it is')
  })
}

test('closing tells where to ask on, and so does the end of the time', async (t) => {
  const { app, results, analyze } = await start(t, foundJob(key, { state: 'processing', etaSeconds: 3.5 }))
  const waiting = analyze()
  await until(() => results.standingsAsked >= 1)
  await app.close()
  const response = await waiting
  const at = '/v1/results/uploads/a%20b.jpg?version=e1'
  assert.equal(response.statusCode, 504)
  assert.equal(response.headers.location, at)
  assert.equal(response.headers['retry-after'], '4')
  const { code, instance, detail } = response.json()
  assert.deepEqual({ code, instance }, { code: 'TIMEOUT', instance: at })
  assert.match(detail, /still processing/)
})

for (const payload of [
  {},
  { image_url: 1 },
  { image_url: [imageUrl] },
  { image_url: imageUrl, more: true },
  { image_url: 'https://others.s3.us-east-1.amazonaws.com/uploads/a.jpg' },
  { image_url: `${imageUrl}${'a'.repeat(10_000)}` },
]) {
  test(`${JSON.stringify(payload).slice(0, 90)} is not valid, and nothing is asked for`, async (t) => {
    const { results, analyze } = await start(t, succeededJob(key))
    const response = await analyze(payload)
    assert.deepEqual([response.statusCode, response.json().code], [400, 'INVALID_REQUEST'])
    assert.equal(results.standingsAsked, 0)
  })
}
