import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { FoundJob, Wanted } from '#shared/db/results.ts'
import { createApp } from '../../../services/api/app.ts'
import { apiOptions } from '../../api-options.ts'
import { fakeResults, foundJob, succeededJob } from '../../found-job.ts'

const key = 'uploads/a.jpg'
const address = `/v1/results/${key}`
const imageUrl = `https://pictures.s3.us-east-1.amazonaws.com/${key}?versionId=null`

const null1 = { etag: 'e1', versionId: 'null' }
const newerVersion = { etag: 'e2', versionId: 'v2' }

/** A bucket whose versioning was suspended, and turned on again for `newer`; S3 answers every `null` version so. */
async function start(t: TestContext, found: FoundJob | undefined, newer?: { etag: string; versionId: string }) {
  const results = fakeResults()
  if (found) results.set(found)
  const canceled = foundJob(key, { state: 'canceled' })
  const named: (string | undefined)[] = []
  const hear = <T>(answer: T) => {
    return async ({ version }: Wanted) => {
      named.push(version)
      return answer
    }
  }
  const objects = {
    head: async (_key: string, _signal: AbortSignal, versionId?: string) => {
      const found =
        versionId === undefined ? (newer ?? null1) : [null1, newer].find((each) => each?.versionId === versionId)
      return found && { ...found, size: 3, lastModified: new Date(0) }
    },
    ping: async () => {},
  }
  const app = await createApp(
    apiOptions({
      results,
      objects,
      orders: {
        order: hear({ outcome: 'placed' as const, found: canceled }),
        cancel: hear(canceled),
        cancelUpload: async () => undefined,
      },
    }),
  )
  t.after(() => app.close())
  return { app, results, named }
}

for (const newer of [undefined, newerVersion]) {
  test(`the version null is the one of the etag, ${newer ? 'also beside a newer one' : 'and it is told as that'}`, async (t) => {
    const { app } = await start(t, succeededJob(key), newer)
    for (const query of ['?version=null', '?version=null&wait=1', '?version=e1']) {
      const { status, version } = (await app.inject(address + query)).json()
      assert.deepEqual([status, version], ['succeeded', 'e1'], query)
    }
    const stream = await app.inject({ url: `${address}?version=null`, headers: { accept: 'text/event-stream' } })
    assert.match(stream.body, /^event: end$/m)
    const analysis = await app.inject({ method: 'POST', url: '/analyze', payload: { image_url: imageUrl } })
    assert.deepEqual([analysis.statusCode, analysis.json().genre], [200, 'landscape'])
  })
}

test('a stream of the version null tells of its job', async (t) => {
  const { app, results } = await start(t, undefined)
  const streaming = app.inject({ url: `${address}?version=null`, headers: { accept: 'text/event-stream' } })
  setTimeout(() => results.set(succeededJob(key)), 200)
  const timer = setTimeout(() => void app.close(), 5_000)
  assert.match((await streaming).body, /"status":"queued".*"status":"succeeded"/s)
  clearTimeout(timer)
})

test('a new take on the version null, and its cancellation, are of its job', async (t) => {
  const { app, named } = await start(t, succeededJob(key), newerVersion)
  for (const url of ['/v1/generations', '/v1/cancellations']) {
    await app.inject({ method: 'POST', url, payload: { key, version: 'null' } })
  }
  assert.deepEqual(named, ['e1', 'e1'])
})

test('where the bucket has no version null there is none', async (t) => {
  const results = fakeResults()
  results.set(succeededJob(key))
  const head = async (_key: string, _signal: AbortSignal, versionId?: string) =>
    versionId ? undefined : { etag: 'e1', size: 3, lastModified: new Date(0) }
  const app = await createApp(apiOptions({ results, objects: { head, ping: async () => {} } }))
  t.after(() => app.close())
  assert.equal((await app.inject(`${address}?version=null`)).statusCode, 404)
})
