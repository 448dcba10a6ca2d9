import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Value from 'typebox/value'
import { errorCodes } from '#shared/contract/error-code.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { readApiKeys } from '../../../../services/api/api-key.ts'
import { type AppOptions, createApp } from '../../../../services/api/app.ts'
import { DeadLetters, Replays } from '../../../../services/api/routes/dead-letters.ts'
import { apiOptions } from '../../../api-options.ts'
import { createFakeDlq, letterOf } from '../../../fake-dlq.ts'

const operator = { authorization: 'Bearer a-key-of-operators' }
const app = { authorization: 'Bearer a-key-of-the-app0' }
const auth = { keys: readApiKeys('a-key-of-operators:admin,a-key-of-the-app0') }

test('the letters are listed by reason and prefix, and stay where they are', async (t) => {
  const dlq = createFakeDlq([
    letterOf('a', { reason_code: 'IMAGE_CORRUPT', image_key: 'uploads/x/%ED%95%9C.jpg', attempts: '2' }),
    letterOf('b', { reason_code: 'IMAGE_EMPTY', image_key: 'uploads/y/b.jpg' }),
    letterOf('c', {}),
  ])
  const api = await start(t, { deadLetterQueue: dlq.queue })
  const idsOf = async (query: string) => {
    const { statusCode, headers, body } = await api.inject({ url: `/v1/dead-letters${query}`, headers: operator })
    assert.deepEqual([statusCode, headers['cache-control']], [200, 'no-store'], body)
    const answer = JSON.parse(body)
    assert.deepEqual(Value.Errors(DeadLetters, answer), [])
    return [...answer.letters.map((letter: { message_id: string }) => letter.message_id), answer.more]
  }
  assert.deepEqual(await idsOf(''), ['a', 'b', 'c', false])
  assert.deepEqual(await idsOf('?code=IMAGE_CORRUPT'), ['a', false])
  assert.deepEqual(await idsOf('?code=none'), ['c', false])
  assert.deepEqual(await idsOf(`?prefix=${encodeURIComponent('uploads/x/한')}`), ['a', false])
  assert.deepEqual(await idsOf('?prefix=uploads/&code=IMAGE_EMPTY'), ['b', false])
  assert.deepEqual(await idsOf('?limit=1'), ['a', true])
  assert.deepEqual([dlq.ready(), dlq.sent], [['a', 'b', 'c'], []])
})

test('a replay is a dry run until it is told otherwise', async (t) => {
  const dlq = createFakeDlq([letterOf('a', { reason_code: 'IMAGE_EMPTY' }), letterOf('b', {})])
  const api = await start(t, { deadLetterQueue: dlq.queue })
  const replay = async (payload: object) => {
    const { statusCode, body } = await api.inject({ method: 'POST', url: '/v1/replays', headers: operator, payload })
    assert.equal(statusCode, 200, body)
    const answer = JSON.parse(body)
    assert.deepEqual(Value.Errors(Replays, answer), [])
    const letters = answer.letters.map((each: { message_id: string; outcome: string }) => [
      each.message_id,
      each.outcome,
    ])
    return { ...answer, letters }
  }
  for (const dry of [{}, { dry_run: true }]) {
    assert.deepEqual(await replay({ message_ids: ['a', 'z'], ...dry }), {
      dry_run: true,
      letters: [['a', 'would_be_replayed']],
      more: false,
    })
  }
  assert.deepEqual([dlq.ready(), dlq.sent], [['a', 'b'], []])
  assert.deepEqual(await replay({ code: ['IMAGE_EMPTY'], dry_run: false }), {
    dry_run: false,
    letters: [['a', 'replayed']],
    more: false,
  })
  assert.deepEqual([dlq.ready(), dlq.sent], [['b'], ['a']])
})

test('only operators may look and replay', async (t) => {
  const dlq = createFakeDlq([letterOf('a', {})])
  const api = await start(t, { deadLetterQueue: dlq.queue })
  const payload = { message_ids: ['a'], dry_run: false }
  for (const [headers, status, code] of [
    [app, 403, 'FORBIDDEN'],
    [{}, 401, 'UNAUTHORIZED'],
  ] as const) {
    for (const response of [
      await api.inject({ url: '/v1/dead-letters', headers }),
      await api.inject({ method: 'POST', url: '/v1/replays', headers, payload }),
    ]) {
      assert.deepEqual([response.statusCode, response.json().code], [status, code])
    }
  }
  assert.deepEqual([dlq.ready(), dlq.received()], [['a'], 0])
})

for (const [name, body] of [
  ['no filter', { dry_run: false }],
  ['an empty body', {}],
  ['no object', []],
  ['no ids', { message_ids: [] }],
  ['too many ids', { message_ids: Array.from({ length: 101 }, (_, i) => String(i)) }],
  ['an endless id', { message_ids: ['x'.repeat(101)] }],
  ['an unknown code', { code: ['OTHER'] }],
  ['a code alone', { code: 'IMAGE_EMPTY' }],
  ['too large a limit', { code: ['none'], limit: 101 }],
  ['no limit', { code: ['none'], limit: 0 }],
  ['a word for false', { code: ['none'], dry_run: 'false' }],
  ['all', { all: true, dry_run: false }],
  ['a prototype', JSON.parse('{"__proto__":{"dry_run":false},"code":["none"]}')],
] as const) {
  test(`a replay of ${name} is an INVALID_REQUEST, and nothing is read`, async (t) => {
    const dlq = createFakeDlq([letterOf('a', {})])
    const api = await start(t, { deadLetterQueue: dlq.queue })
    const request = { method: 'POST', url: '/v1/replays', headers: operator } as const
    const response = await api.inject({ ...request, payload: JSON.stringify(body), headers: { ...operator, ...json } })
    assert.deepEqual([response.statusCode, response.json().code], [400, 'INVALID_REQUEST'], response.body)
    assert.equal(dlq.received(), 0)
  })
}

for (const query of ['code=OTHER', 'code=none&code=none', 'prefix=', 'limit=0', 'limit=101', 'limit=x', 'all=true']) {
  test(`?${query} is an INVALID_REQUEST, and nothing is read`, async (t) => {
    const dlq = createFakeDlq([letterOf('a', {})])
    const api = await start(t, { deadLetterQueue: dlq.queue })
    const response = await api.inject({ url: `/v1/dead-letters?${query}`, headers: operator })
    assert.deepEqual([response.statusCode, response.json().code], [400, 'INVALID_REQUEST'], response.body)
    assert.equal(dlq.received(), 0)
  })
}

test('whatever a letter says of itself, the list is as its schema says', async (t) => {
  const hostile = letterOf('a', {
    reason_code: '__proto__',
    reason: '\u001b[31m</script>\u202e',
    image_key: '%ff',
    failed_at: '+275760-09-13T00:00:00Z',
    attempts: '9'.repeat(400),
    replay_count: '-1',
  })
  const future = letterOf('b', { failed_at: '9999-12-31T23:59:59Z' })
  const api = await start(t, { deadLetterQueue: createFakeDlq([hostile, future, { MessageId: 'c' }]).queue })
  const { letters } = (await api.inject({ url: '/v1/dead-letters', headers: operator })).json()
  assert.deepEqual(Value.Errors(DeadLetters, { letters, more: false }), [])
  assert.equal(letters.length, 3)
})

test('an API without a dead-letter queue says what to set', async (t) => {
  const api = await start(t, {})
  const payload = { message_ids: ['a'] }
  for (const response of [
    await api.inject({ url: '/v1/dead-letters', headers: operator }),
    await api.inject({ method: 'POST', url: '/v1/replays', headers: operator, payload }),
  ]) {
    assert.deepEqual([response.statusCode, response.json().code], [409, 'CONFLICT'])
    assert.match(response.json().detail, /set DLQ_URL/)
  }
})

test('a queue that is away is STORAGE_UNAVAILABLE, without what it said', async (t) => {
  const dlq = createFakeDlq([])
  const receive = async () => {
    throw new RetryableFailure('STORAGE_UNAVAILABLE', 'receiving failed: ECONNREFUSED 10.0.0.1')
  }
  const api = await start(t, { deadLetterQueue: { ...dlq.queue, receive } })
  const response = await api.inject({ url: '/v1/dead-letters', headers: operator })
  const { code, title, detail } = response.json()
  assert.deepEqual(
    [response.statusCode, code, title],
    [503, 'STORAGE_UNAVAILABLE', errorCodes.STORAGE_UNAVAILABLE.title],
  )
  assert.equal(detail, undefined)
  assert.ok(response.headers['retry-after'])
})

const json = { 'content-type': 'application/json' }

async function start(t: TestContext, options: Partial<AppOptions>) {
  const api = await createApp(apiOptions({ auth, ...options }))
  t.after(() => api.close())
  return api
}
