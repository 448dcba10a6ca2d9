import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Value from 'typebox/value'
import { Problem, Result } from '#shared/contract/result.ts'
import type { ListPosition, ListQuery } from '#shared/db/result-list.ts'
import type { FoundJob } from '#shared/db/results.ts'
import { type AppOptions, createApp } from '../../../services/api/app.ts'
import { writeCursor } from '../../../services/api/list-cursor.ts'
import { apiOptions } from '../../api-options.ts'
import { noResults, succeededJob } from '../../found-job.ts'

const foundJob = succeededJob('uploads/a.jpg')
const last: ListPosition = { createdAt: new Date('2026-01-02T03:04:05.678Z'), id: '0123456789abcdef0123456789abcdef' }

test('a page holds results, and the way to the next one by the same filters', async (t) => {
  const list = await start(t, { found: [foundJob], next: last })
  const query = 'genre=a%26b&since=2026-01-01T00:00:00%2B09:00&limit=1&prefix=uploads/%EA%B7%B8%2B'
  const first = await list.get(`/v1/results?${query}`)
  assert.equal(first.statusCode, 200)
  assert.equal(first.headers['cache-control'], 'private, no-store')
  const { results, next_cursor, ...others } = first.json()
  assert.deepEqual(others, {})
  assert.equal(results.length, 1)
  assert.deepEqual(Value.Errors(Result, results[0]), [])
  assert.deepEqual([results[0].take, results[0].genre], [0, 'landscape'])
  const link = String(first.headers.link).match(/^<(\/v1\/results\?[\w%=&.*+-]+)>; rel="next"$/)
  assert.ok(link?.[1], String(first.headers.link))
  assert.equal(new URL(link[1], 'http://a').searchParams.get('cursor'), next_cursor)

  assert.equal((await list.get(link[1])).statusCode, 200)
  const filters = { genre: 'a&b', prefix: 'uploads/그+', since: new Date('2025-12-31T15:00:00Z') }
  assert.deepEqual(list.asked, [
    { filters, after: undefined, limit: 1 },
    { filters, after: last, limit: 1 },
  ])
})

test('the last page has no next one, and 20 results unless told', async (t) => {
  const list = await start(t, { found: [foundJob], next: undefined })
  const response = await list.get('/v1/results')
  assert.equal(response.headers.link, undefined)
  assert.equal('next_cursor' in response.json(), false)
  assert.deepEqual(list.asked, [{ filters: { since: undefined }, after: undefined, limit: 20 }])
})

test('a music_url is presigned on request', async (t) => {
  const list = await start(t, { found: [foundJob], next: last })
  const [plain] = (await list.get('/v1/results')).json().results
  const response = await list.get('/v1/results?music_url=presigned')
  const [presigned] = response.json().results
  assert.ok(presigned.music_url.startsWith(`${plain.music_url}?X-Amz-Algorithm=`))
  assert.match(String(response.headers.link), /[?&]music_url=presigned&/)
})

const cursor = writeCursor(last, { state: 'failed' })

test('a cursor is taken with the filters that it came with', async (t) => {
  const list = await start(t, { found: [], next: undefined })
  assert.match(cursor, /^[\w-]{48}$/)
  assert.equal((await list.get(`/v1/results?state=failed&cursor=${cursor}`)).statusCode, 200)
  assert.deepEqual(list.asked[0]!.after, last)
})

const all = { state: 'failed', genre: 'a', style: 'b', prefix: 'uploads/c', since: '2026-01-02T00:00:00Z' } as const
const others = { state: 'queued', genre: 'b', style: 'c', prefix: 'uploads/d', since: '2026-01-01T00:00:00Z' }
const cursorOfAll = writeCursor(last, { ...all, since: new Date(all.since) })

for (const [name, value] of Object.entries(others)) {
  test(`a cursor is not taken with another ${name} than it came with`, async (t) => {
    const list = await start(t, { found: [], next: undefined })
    const ask = (filters: Record<string, string>) =>
      list.get(`/v1/results?${new URLSearchParams({ ...filters, cursor: cursorOfAll })}`)
    assert.equal((await ask({ ...all, [name]: value })).statusCode, 400)
    assert.equal((await ask(all)).statusCode, 200)
  })
}

for (const [name, query] of [
  ['a cursor without its filters', `cursor=${cursor}`],
  ['a cursor with more filters', `state=failed&genre=a&cursor=${cursor}`],
  ['a cursor with a later time', `state=failed&cursor=${Buffer.from('zzz').toString('base64url')}${cursor.slice(4)}`],
  ['a cursor after all times', `cursor=${writeCursor({ ...last, createdAt: new Date(2 ** 48 - 1) }, {})}`],
  ['a cursor of nothing', 'cursor='],
  ['a cut cursor', `state=failed&cursor=${cursor.slice(0, 47)}`],
  ['a long cursor', `state=failed&cursor=${cursor.repeat(50)}`],
  ['a cursor of other characters', `state=failed&cursor=${encodeURIComponent(`'${cursor.slice(1)}`)}`],
  ['two cursors', `state=failed&cursor=${cursor}&cursor=${cursor}`],
  ['no results', 'limit=0'],
  ['too many results', 'limit=101'],
  ['half a result', 'limit=1.5'],
  ['a state that there is not', 'state=done'],
  ['an empty genre', 'genre='],
  ['a long style', `style=${'x'.repeat(101)}`],
  ['a long prefix', `prefix=${'x'.repeat(1025)}`],
  ['a time that is none', 'since=yesterday'],
  ['a second that leaps', 'since=2016-12-31T23:59:60Z'],
  ['a time after all', 'since=9999-12-31T23:59:59-23:59'],
  ['a time before all', 'since=0000-01-01T00:00:00Z'],
  ['an unknown filter', 'color=blue'],
] as const) {
  test(`${name} is 400 INVALID_REQUEST`, async (t) => {
    const list = await start(t, { found: [], next: undefined })
    const response = await list.get(`/v1/results?${query}`)
    assert.equal(response.statusCode, 400, response.body)
    assert.deepEqual(Value.Errors(Problem, response.json()), [])
    assert.equal(response.json().code, 'INVALID_REQUEST')
    assert.deepEqual(list.asked, [])
  })
}

async function start(t: TestContext, page: { found: FoundJob[]; next: ListPosition | undefined }) {
  const asked: ListQuery[] = []
  const list: AppOptions['results']['list'] = async (query) => {
    asked.push(query)
    return page
  }
  const app = await createApp(apiOptions({ results: { ...noResults, list } }))
  t.after(() => app.close())
  return { asked, get: (url: string) => app.inject(url) }
}
