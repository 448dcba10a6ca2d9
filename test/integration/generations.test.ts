import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { DeleteObjectCommand, GetObjectCommand } from '@aws-sdk/client-s3'
import { eq } from 'drizzle-orm'
import Value from 'typebox/value'
import { jobId, musicKey } from '#shared/contract/key.ts'
import { Problem, Result } from '#shared/contract/result.ts'
import { artAnalysis, jobs as jobsTable } from '#shared/db/schema.ts'
import { readWav } from '../../services/consumer/audio/wav.ts'
import { createStubInference } from '../stub-inference.ts'
import { startWholeStack, type WholeStack } from '../whole-stack.ts'

const path = '/v1/generations'

let whole: WholeStack

before(async () => {
  whole = await startWholeStack()
})

after(async () => {
  await whole?.close()
})

test('a new take has its own prompt, seed and length, and the styles that were found, though the picture is gone', async () => {
  const key = 'uploads/takes/한 글+%.jpg'
  const first = await whole.analysed(key)
  await whole.stack.s3.send(new DeleteObjectCommand({ Bucket: whole.bucket, Key: key }))
  const wish = { key, prompt: '  A slow waltz ', seed: 7, duration_seconds: 1.5 }
  const ordered = await whole.post(path, wish)
  assert.equal(ordered.status, 202)
  assert.deepEqual(Value.Errors(Result, ordered.body), [])
  const { version } = first
  assert.deepEqual(
    [ordered.body.status, ordered.body.take, ordered.body.key, ordered.body.version],
    ['queued', 1, key, version],
  )
  assert.equal(ordered.headers['retry-after'], '2')
  const location = `/v1/results/uploads/takes/${encodeURIComponent('한 글+%.jpg')}?version=${version}&take=1`
  assert.equal(ordered.headers.location, location)

  const classify = () => assert.fail('classified')
  await whole.withConsumer({ inference: { classify } }, whole.drained)
  const { job, analysis } = (await whole.results.find({ key, take: 1 }))!
  assert.deepEqual([job.state, job.attempt, job.errorMessage], ['succeeded', 1, null])
  assert.deepEqual(whole.music.at(-1), { prompt: 'A slow waltz', seed: 7, seconds: 1.5 })
  const { genre, genreScore, style1, score5, durationSeconds, prompt, seed, take, classifierModel } = analysis!
  assert.deepEqual([genre, genreScore], [first.genre, first.genre_score])
  assert.deepEqual([style1, score5], [first.styles![0]!.name, first.styles![4]!.score])
  assert.deepEqual([durationSeconds, prompt, seed, take], [1.5, 'A slow waltz', 7, 1])
  assert.equal(classifierModel, 'stub-classifier')
  assert.deepEqual(await embeddings(key), [
    [0.5, 0.5, 0.5, 0.5],
    [0.5, 0.5, 0.5, 0.5],
  ])
  const id = jobId({ bucket: whole.bucket, key, version: version! }, 1)
  const stored = await whole.stack.s3.send(new GetObjectCommand({ Bucket: whole.bucket, Key: musicKey(key, id) }))
  assert.equal(readWav(Buffer.from(await stored.Body!.transformToByteArray()))?.seconds, 1.5)
  assert.equal((await whole.get(key)).body.take, 0, 'the first take is what the key alone stands for')
})

test('what is left out is as in the first take, but for the seed', async () => {
  const key = 'uploads/takes/defaults.jpg'
  const first = await whole.analysed(key)
  for (const take of [1, 2]) assert.equal((await whole.post(path, { key, version: first.version })).body.take, take)
  await whole.withConsumer({}, whole.drained)
  const rows = await Promise.all([0, 1, 2].map(async (take) => (await whole.results.find({ key, take }))!.analysis!))
  assert.equal(new Set(rows.map(({ prompt }) => prompt)).size, 1)
  assert.deepEqual(new Set(rows.map(({ durationSeconds }) => durationSeconds)), new Set([0.1]))
  assert.equal(new Set(rows.map(({ seed }) => seed)).size, 3)
})

test('one key twenty times at once is one take, and twenty orders without one are twenty takes', async () => {
  const key = 'uploads/takes/many.jpg'
  await whole.analysed(key)
  const same = await times(20, () => whole.post(path, { key, seed: 1 }, { 'idempotency-key': 'k 1' }))
  assert.deepEqual(new Set(same.map(({ status, body }) => `${status} ${body.take}`)), new Set(['202 1']))
  const other = await whole.post(path, { key, seed: 2 }, { 'idempotency-key': 'k 1' })
  assert.deepEqual([other.status, other.body.code], [422, 'CONFLICT'])
  assert.deepEqual(Value.Errors(Problem, other.body), [])

  const each = await times(20, () => whole.post(path, { key, seed: 1 }))
  assert.deepEqual(
    each.map(({ body }) => body.take).toSorted((one, two) => one - two),
    Array.from({ length: 20 }, (_, index) => index + 2),
  )
  const before = whole.music.length
  // Copies of a message that is worked on come back when that lease would be over.
  await whole.withConsumer({ settings: { LEASE_SECONDS: '3' } }, whole.drained)
  assert.equal(whole.music.length - before, 21, 'however many messages there were')
  const again = await whole.post(path, { key, seed: 1 }, { 'idempotency-key': 'k 1' })
  assert.deepEqual([again.status, again.body.status, again.body.take], [202, 'succeeded', 1])
  assert.equal(again.headers['retry-after'], undefined)
  assert.deepEqual(await whole.queue.depth(), { visible: 0, inFlight: 0 })
})

test('an order cut off between its row and its message is a 503, and the same order again sends it', async () => {
  const key = 'uploads/takes/cut off.jpg'
  await whole.analysed(key)
  const headers = { 'idempotency-key': 'k 2' }
  whole.failSending(true)
  const cut = await whole.post(path, { key }, headers)
  whole.failSending(false)
  assert.deepEqual([cut.status, cut.body.code, cut.headers['retry-after']], [503, 'STORAGE_UNAVAILABLE', '5'])
  assert.deepEqual(await whole.queue.depth(), { visible: 0, inFlight: 0 })
  const again = await whole.post(path, { key }, headers)
  assert.deepEqual([again.status, again.body.take], [202, 1])
  await whole.withConsumer({}, whole.drained)
  assert.equal((await whole.results.find({ key, take: 1 }))?.job.state, 'succeeded')
})

test('an order whose message never came is found by reconcile, and sent', async () => {
  const key = 'uploads/takes/never sent.jpg'
  await whole.analysed(key)
  whole.failSending(true)
  await whole.post(path, { key })
  whole.failSending(false)
  const args = ['reconcile', '--prefix', key, '--older-than', '0s', '--json']
  const found = await dlq(args).catch((error: { stdout: string }) => error)
  const orphan = JSON.parse(found.stdout)
  const { version } = (await whole.get(key)).body
  const id = jobId({ bucket: whole.bucket, key, version: version! }, 1)
  assert.deepEqual([orphan.kind, orphan.job_id, orphan.remedy], ['job_stuck', id, 're-enqueue'])
  await dlq([...args, '--yes'])
  await whole.withConsumer({}, whole.drained)
  assert.equal((await whole.results.find({ key, take: 1 }))?.job.state, 'succeeded')
  assert.equal((await dlq(args)).stdout, '')
})

test('a picture that is not analysed cannot have another take', async () => {
  const unknown = await whole.post(path, { key: 'uploads/takes/none.jpg' })
  assert.deepEqual([unknown.status, unknown.body.code], [404, 'RESULT_NOT_FOUND'])

  const waiting = 'uploads/takes/waiting.jpg'
  await whole.upload(waiting)
  const early = await whole.post(path, { key: waiting })
  assert.deepEqual([early.status, early.body.code], [409, 'CONFLICT'])
  assert.match(early.body.detail, /the first of this picture is queued$/)

  const empty = 'uploads/takes/empty.jpg'
  await whole.upload(empty, Buffer.alloc(0))
  await whole.withConsumer({}, whole.drained)
  const failed = await whole.post(path, { key: empty })
  assert.deepEqual([failed.status, failed.body.code], [409, 'CONFLICT'])
  assert.match(failed.body.detail, /the first of this picture is failed$/)
  assert.equal((await whole.post(path, { key: waiting, version: 'other' })).status, 404)
  await whole.deadLetters()
})

for (const [name, body, headers] of [
  ['an empty prompt', { prompt: '' }, {}],
  ['a blank prompt', { prompt: ' \n ' }, {}],
  ['a long prompt', { prompt: 'x'.repeat(1001) }, {}],
  ['a negative seed', { seed: -1 }, {}],
  ['a large seed', { seed: 2 ** 32 }, {}],
  ['half a seed', { seed: 0.5 }, {}],
  ['a seed in words', { seed: '5' }, {}],
  ['no seed at all', { seed: null }, {}],
  ['a short take', { duration_seconds: 0.99 }, {}],
  ['a long take', { duration_seconds: 31 }, {}],
  ['a huge number', { duration_seconds: 1e308 }, {}],
  ['a field that there is not', { take: 1 }, {}],
  ['a key that climbs', { key: 'uploads/../a.jpg' }, {}],
  ['half a character', { key: 'uploads/\ud800.jpg' }, {}],
  ['a key too long', { key: `uploads/${'한'.repeat(400)}` }, {}],
  ['no key', { key: undefined }, {}],
  ['an empty Idempotency-Key', {}, { 'idempotency-key': '' }],
  ['a long Idempotency-Key', {}, { 'idempotency-key': 'x'.repeat(256) }],
  ['an Idempotency-Key that is not ASCII', {}, { 'idempotency-key': 'é' }],
] as const) {
  test(`${name} is not valid`, async () => {
    const { status, body: problem } = await whole.post(path, { key: 'uploads/takes/a.jpg', ...body }, headers)
    assert.deepEqual(Value.Errors(Problem, problem), [])
    assert.deepEqual([status, problem.code], [400, 'INVALID_REQUEST'])
  })
}

test('a take that fails is dead-lettered under its picture, and succeeds when it is replayed', async () => {
  const key = 'uploads/takes/unlucky.jpg'
  await whole.analysed(key)
  await whole.post(path, { key })
  let broken = true
  const compose: ReturnType<typeof createStubInference>['compose'] = async (clip, options) =>
    broken ? [new Float32Array([Number.NaN])] : createStubInference().compose(clip, options)
  const settings = { MAX_ATTEMPTS: '1' }
  await whole.withConsumer({ inference: { compose }, settings }, whole.drained)
  const failed = (await whole.get(key)).body
  assert.equal(failed.status, 'succeeded', 'the first take is as it was')
  const { job } = (await whole.results.find({ key, take: 1 }))!
  assert.deepEqual([job.state, job.errorCode], ['failed', 'GENERATION_FAILED'])
  const [letter] = JSON.parse(`[${(await dlq(['list', '--prefix', key, '--json'])).stdout.trim().split('\n')}]`)
  assert.deepEqual([letter.reason_code, letter.image_keys], ['GENERATION_FAILED', [key]])

  broken = false
  const folder = await mkdtemp(join(tmpdir(), 'promenade-replay-'))
  try {
    await dlq(['replay', '--prefix', key, '--yes', '--audit', join(folder, 'audit.jsonl')])
  } finally {
    await rm(folder, { recursive: true })
  }
  await whole.withConsumer({ inference: { compose }, settings }, whole.drained)
  assert.equal((await whole.results.find({ key, take: 1 }))?.job.state, 'succeeded')
  assert.deepEqual(await whole.deadLetters(), [])
})

test('an order that nobody placed is dead-lettered', async () => {
  const image = { bucket: whole.bucket, key: 'uploads/takes/nobody.jpg', version: 'e1' }
  const order = { type: 'promenade.generate', ...image, take: 1, ordered_at: '2026-01-02T03:04:05.678Z' }
  await whole.queue.send(JSON.stringify(order))
  await whole.queue.send(JSON.stringify({ ...order, bucket: 'foreign' }))
  await whole.queue.send(JSON.stringify({ ...order, key: 'uploads/../a.jpg' }))
  await whole.withConsumer({}, whole.drained)
  const letters = await whole.deadLetters()
  assert.deepEqual(letters.map(({ reason_code: code }) => code).toSorted(), [
    'MESSAGE_FOREIGN_BUCKET',
    'MESSAGE_UNREADABLE',
    'MESSAGE_UNREADABLE',
  ])
  assert.ok(letters.some(({ reason }) => reason?.includes(`There is no job ${jobId(image, 1)}`)))
})

test('takes on several pictures are composed beside uploads, and each ends as its own', async () => {
  const keys = ['uploads/takes/x.jpg', 'uploads/takes/y.jpg']
  for (const key of keys) await whole.analysed(key)
  for (const key of keys) await whole.post(path, { key, duration_seconds: 2 })
  await whole.upload('uploads/takes/z.jpg')
  await whole.withConsumer({}, whole.drained)
  for (const key of keys) {
    assert.equal((await whole.results.find({ key, take: 1 }))?.analysis?.durationSeconds, 2)
  }
  assert.equal((await whole.get('uploads/takes/z.jpg')).body.status, 'succeeded')
})

function times<T>(count: number, make: () => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, make))
}

function dlq(args: string[]) {
  return promisify(execFile)(process.execPath, ['services/dlq/main.ts', ...args], {
    env: whole.stack.env,
    timeout: 30_000,
  })
}

async function embeddings(key: string): Promise<number[][]> {
  const rows = await whole.database.run((db) =>
    db
      .select({ embedding: artAnalysis.embedding })
      .from(artAnalysis)
      .innerJoin(jobsTable, eq(jobsTable.id, artAnalysis.jobId))
      .where(eq(jobsTable.imageKey, key)),
  )
  return rows.map(({ embedding }) => [...embedding!])
}
