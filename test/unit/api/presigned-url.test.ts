import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Value from 'typebox/value'
import { Result } from '#shared/contract/result.ts'
import type { FoundJob } from '#shared/db/results.ts'
import { createApp } from '../../../services/api/app.ts'
import { apiOptions } from '../../api-options.ts'
import { foundJob, noResults, resultsOf, succeededJob } from '../../found-job.ts'

const key = 'uploads/그림 1.jpg'
const path = '/uploads/%EA%B7%B8%EB%A6%BC%201.jpg'
const address = `/v1/results${path}`
const failure = { state: 'failed', errorCode: 'IMAGE_CORRUPT', errorMessage: 'no', errorRetryable: false } as const

test('the music of what has succeeded is presigned on request, without ETag and not to be stored', async (t) => {
  const found = succeededJob(key)
  const get = await start(t, { found })
  const response = await get(`${address}?music_url=presigned`, { 'if-none-match': '*' })
  assert.equal(response.statusCode, 200)
  assert.equal(response.headers.etag, undefined)
  assert.equal(response.headers['cache-control'], 'private, no-store')
  const result = response.json()
  assert.deepEqual(Value.Errors(Result, result), [])
  const { origin, pathname, searchParams } = new URL(result.music_url)
  assert.equal(origin + pathname, found.analysis?.musicUrl)
  assertLifetime(searchParams)
  assert.equal(result.image_url, found.analysis?.imageUrl)
  assert.equal((await get(`${address}?music_url=plain`)).json().code, 'INVALID_REQUEST')
})

test('what has no music yet is answered as ever', async (t) => {
  const get = await start(t, { found: foundJob(key, { state: 'processing' }) })
  const response = await get(`${address}?music_url=presigned`)
  assert.ok(response.headers.etag)
  assert.equal(response.headers['cache-control'], 'private, no-cache')
  assert.equal('image_url' in response.json(), false)
})

for (const [name, found, version] of [
  ['a queued', foundJob(key), null],
  ['a queued, in a bucket with versions,', foundJob(key, { versionId: 'v/1' }), 'v/1'],
  ['a failed', foundJob(key, { ...failure, versionId: 'v1' }), 'v1'],
  ['a succeeded', succeededJob(key, { versionId: 'v1' }), 'v1'],
] as const) {
  test(`${name} job has a presigned picture, in one result, in the list and in events`, async (t) => {
    const get = await start(t, { found })
    const one = (await get(`${address}?image_url=presigned`)).json()
    assert.deepEqual(Value.Errors(Result, one), [])
    const list = (await get('/v1/results?image_url=presigned')).json().results[0]
    const addresses = [one.image_url, list.image_url]
    if (found.job.state !== 'queued') {
      const { body } = await get(`${address}?image_url=presigned`, { accept: 'text/event-stream' })
      addresses.push(JSON.parse(body.match(/^data: (.+)$/m)![1]!).image_url)
    }
    for (const url of addresses) {
      const { origin, pathname, searchParams } = new URL(url)
      assert.equal(origin + pathname, `https://pictures.s3.us-east-1.amazonaws.com${path}`)
      assert.equal(searchParams.get('versionId'), version)
      assert.equal(searchParams.get('response-content-disposition'), 'inline')
      assertLifetime(searchParams)
    }
  })
}

test('the picture is shown before its event has come', async (t) => {
  for (const [versionId, version] of [
    ['v1', 'v1'],
    ['null', null],
    [undefined, null],
  ] as const) {
    const get = await start(t, {
      head: { etag: 'e1', size: 3, lastModified: new Date(0), ...(versionId && { versionId }) },
    })
    const { status, image_url } = (await get(`${address}?image_url=presigned`)).json()
    assert.equal(status, 'queued')
    assert.equal(new URL(image_url).searchParams.get('versionId'), version)
  }
})

test('with a presigned picture who waits for changes still does so by ETag, until the work has ended', async (t) => {
  const url = `${address}?image_url=presigned`
  const unfinished = await start(t, { found: foundJob(key) })
  const first = await unfinished(url)
  assert.equal(first.headers['cache-control'], 'private, no-store')
  assert.equal(first.headers['retry-after'], '2')
  const same = await unfinished(url, { 'if-none-match': String(first.headers.etag) })
  assert.deepEqual([same.statusCode, same.headers['cache-control'], same.body], [304, 'private, no-store', ''])
  for (const found of [foundJob(key, failure), succeededJob(key)]) {
    const { statusCode, headers } = await (await start(t, { found }))(url, { 'if-none-match': '*' })
    assert.deepEqual([statusCode, headers.etag, headers['cache-control']], [200, undefined, 'private, no-store'])
  }
})

test('the next page of the list is asked for in the same way', async (t) => {
  const get = await start(t, { found: foundJob(key) })
  const { headers } = await get('/v1/results?image_url=presigned&music_url=presigned')
  assert.match(String(headers.link), /[?&]image_url=presigned&music_url=presigned&/)
})

/** An hour at least. */
function assertLifetime(query: URLSearchParams): void {
  const [, date = '', time = ''] = /^(\d{8})T(\d{6})Z$/.exec(query.get('X-Amz-Date')!)!
  const signedAt = Date.parse(`${date.replace(/(..)(..)$/, '-$1-$2')}T${time.replace(/(..)(..)$/, ':$1:$2')}Z`)
  const leftSeconds = (signedAt - Date.now()) / 1000 + Number(query.get('X-Amz-Expires'))
  assert.ok(leftSeconds > 3590 && leftSeconds < 4500, `${leftSeconds} s`)
}

interface Head {
  etag: string
  versionId?: string
  size: number
  lastModified: Date
}

async function start(t: TestContext, { found, head }: { found?: FoundJob; head?: Head }) {
  const results = found ? resultsOf(async () => found) : noResults
  const next = { createdAt: new Date(0), id: '0'.repeat(32) }
  const list = async () => ({ found: found ? [found] : [], next })
  const objects = { head: async () => head, ping: async () => {} }
  const app = await createApp(apiOptions({ results: { ...results, list }, objects }))
  t.after(() => app.close())
  return (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers })
}
