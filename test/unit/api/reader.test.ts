import assert from 'node:assert/strict'
import { test } from 'node:test'
import { subjectOf } from '#shared/db/results.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { createReader } from '../../../services/api/reader.ts'
import { fakeResults, foundJob, succeededJob } from '../../found-job.ts'
import { bucket } from '../../job.ts'

function start() {
  const results = fakeResults()
  const clock = { time: 0 }
  return { results, clock, ...createReader({ results, bucket, now: () => clock.time }) }
}

test('all who ask at the same time are answered by one query, and the rows come in another', async () => {
  const { results, find } = start()
  for (let n = 0; n < 10; n++) results.set(succeededJob(`uploads/${n}`))
  results.set(foundJob('uploads/10', { state: 'processing', progress: 0.5 }))
  const all = await Promise.all(Array.from({ length: 1_200 }, (_, n) => find({ key: `uploads/${n % 12}` })))
  assert.deepEqual([results.standingsAsked, results.rowsAsked], [1, 1])
  for (const [n, found] of all.entries()) {
    if (n % 12 < 10) assert.equal(found?.analysis?.imageKey, `uploads/${n % 12}`)
    else if (n % 12 === 10) assert.equal(found?.job.progress, 0.5)
    else assert.equal(found, undefined)
  }
})

test('what has ended is asked for once a second, and read in full once, until it changes', async () => {
  const { results, clock, find } = start()
  const key = 'uploads/a.jpg'
  results.set(succeededJob(key))
  assert.equal(await find({ key }), await find({ key }))
  clock.time = 999
  await find({ key })
  assert.deepEqual([results.standingsAsked, results.rowsAsked], [1, 1])
  clock.time = 1_000
  await find({ key })
  assert.deepEqual([results.standingsAsked, results.rowsAsked], [2, 1])
  clock.time = 2_000
  results.set(foundJob(key, { state: 'processing', updatedAt: new Date(1) }))
  assert.equal((await find({ key }))?.job.state, 'processing')
  const later = succeededJob(key, { updatedAt: new Date(2) })
  results.set({ ...later, analysis: { ...later.analysis!, genre: 'portrait' } })
  assert.equal((await find({ key }))?.analysis?.genre, 'portrait')
  assert.equal(results.rowsAsked, 2)
})

test('nobody is told what is older than what one who waits has been told', async () => {
  const { results, find, read } = start()
  const key = 'uploads/a.jpg'
  results.set(succeededJob(key, { version: 'v1', sequencer: '01' }))
  await find({ key })
  results.set(succeededJob(key, { version: 'v2', sequencer: '02' }))
  await read([subjectOf(bucket, { key })])
  assert.equal((await find({ key }))?.job.version, 'v2')
})

test('a job that begins anew while it is read is shown as it is then', async () => {
  const { results, find } = start()
  const key = 'uploads/a.jpg'
  results.set(foundJob(key, { state: 'failed', errorCode: 'IMAGE_NOT_FOUND' }))
  const { findAll } = results
  results.findAll = async (ids) => {
    results.set(foundJob(key, { state: 'queued', updatedAt: new Date(1) }))
    return findAll(ids)
  }
  assert.equal((await find({ key }))?.job.state, 'queued')
})

test('more than can be kept, and more than is read together, is found all the same', async () => {
  const { results, find } = start()
  const keys = Array.from({ length: 2_500 }, (_, n) => `uploads/${n}`)
  for (const key of keys) results.set(succeededJob(key))
  const all = await Promise.all(keys.map((key) => find({ key })))
  assert.deepEqual(
    all.map((found) => found?.analysis?.imageKey),
    keys,
  )
  assert.deepEqual([results.standingsAsked, results.rowsAsked], [5, 5])
})

test('a database that is away is told to all who asked, and the next are answered', async () => {
  const { results, find } = start()
  const key = 'uploads/a.jpg'
  results.set(succeededJob(key))
  results.failure = new RetryableFailure('DATABASE_UNAVAILABLE', 'gone')
  const all = await Promise.allSettled(Array.from({ length: 1_000 }, (_, n) => find({ key: `uploads/${n}` })))
  assert.ok(all.every((each) => each.status === 'rejected' && each.reason === results.failure))
  results.failure = undefined
  assert.equal((await find({ key }))?.job.state, 'succeeded')
})

test('what was read before something changed in this process is not remembered', async () => {
  const { results, find, forget } = start()
  const key = 'uploads/a.jpg'
  results.set(succeededJob(key))
  await find({ key })
  forget()
  const underWay = find({ key })
  await new Promise(setImmediate)
  forget()
  await underWay
  await find({ key })
  assert.equal(results.standingsAsked, 3)
})

test('how many may ask at once is bounded', async () => {
  const { find } = start()
  const all = Array.from({ length: 10_001 }, (_, n) => find({ key: `uploads/${n}` }))
  await assert.rejects(all.pop()!, (error: RetryableFailure) => error.code === 'OVERLOADED')
  await Promise.all(all)
})
