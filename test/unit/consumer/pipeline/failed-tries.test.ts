import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import type { Inference } from '../../../../services/consumer/pipeline/music-maker.ts'
import { build, failWith, outageOf, picture, upload, versionOf } from './pipeline-on-fakes.ts'

test('what the database does not take is refused, and no outage', async () => {
  const house = build({ during: { receive: failWith(new PermanentFailure('MESSAGE_UNREADABLE', 'too long')) } })
  assert.deepEqual(await house.process(), {
    refused: { reasonCode: 'MESSAGE_UNREADABLE', reason: 'too long', attempts: 1, imageKey: upload.key },
  })
  assert.deepEqual(house.outages, [])
})

test('a picture that ended all its tries without an answer fails before it is tried again', async () => {
  const house = build({ during: { get: () => assert.fail('tried again') } })
  house.job.attempt = 3
  assert.equal(await house.process(), 'settled')
  assert.deepEqual(house.writes, ['deadLetter', 'fail'])
  assert.equal(house.job.error?.code, 'GENERATION_FAILED')
  assert.match(house.job.error.message, /ended 3 times without an answer/)
})

for (const step of ['confirm', 'put', 'succeed'] as const) {
  test(`an outage at ${step} that is over before the lease does not cost the music`, async (t) => {
    const outage = outageOf(t, 45)
    const house = build({ during: { [step]: outage.strike } })
    let compositions = 0
    house.inference.compose = countCalls(house.inference.compose, () => compositions++)
    assert.equal(await outage.until(house.process()), 'settled')
    assert.deepEqual([house.job.state, house.job.attempt], ['succeeded', 1])
    assert.equal(compositions, 1)
  })
}

for (const step of ['put', 'succeed'] as const) {
  test(`an outage at ${step} that outlasts a lease gives the picture back, uncounted`, async (t) => {
    const outage = outageOf(t, Number.POSITIVE_INFINITY, 'STORAGE_UNAVAILABLE')
    const house = build({ during: { [step]: outage.strike } })
    assert.deepEqual(await outage.until(house.process()), { retryAfterSeconds: 30 })
    assert.equal(outage.passed(), 60)
    assert.deepEqual([house.job.state, house.job.attempt], ['queued', 0])
    assert.deepEqual(house.outages, ['STORAGE_UNAVAILABLE'])
  })
}

test('a database that is away when the picture is to be given back costs no try, while the lease lasts', async (t) => {
  const outage = outageOf(t, 45)
  const order = { ...versionOf(upload), take: 3, eventTime: '2026-01-02T03:04:05.000Z' }
  const house = build({ order, during: { ordered: outage.strike, release: outage.strike } })
  assert.deepEqual(await outage.until(house.process()), { retryAfterSeconds: 30 })
  assert.deepEqual([house.job.state, house.job.attempt], ['queued', 0])
  assert.deepEqual(house.outages, ['DATABASE_UNAVAILABLE'])
})

test('a claim whose answer is lost is given back, uncounted', async (t) => {
  const outage = outageOf(t, 45)
  const house = build({ during: { claimed: outage.strike, release: outage.strike } })
  assert.deepEqual(await outage.until(house.process()), { retryAfterSeconds: 30 })
  assert.deepEqual([house.job.state, house.job.attempt], ['queued', 0])
  assert.deepEqual(house.outages, ['DATABASE_UNAVAILABLE'])
})

for (const step of ['confirm', 'fail'] as const) {
  test(`an outage at ${step} that is over before the lease does not keep a failure from being recorded`, async (t) => {
    const outage = outageOf(t, 45)
    const house = build({ picture: Buffer.alloc(0), during: { [step]: outage.strike } })
    assert.equal(await outage.until(house.process()), 'settled')
    assert.deepEqual([house.job.state, house.job.attempt, house.deadLetters.length], ['failed', 1, 1])
  })
}

test('when neither the work nor giving it back succeeds in a lease, both errors are logged', async (t) => {
  const outage = outageOf(t, Number.POSITIVE_INFINITY)
  const house = build({ during: { compose: failWith(new Error('out of memory')), release: outage.strike } })
  assert.deepEqual(await outage.until(house.process()), { retryAfterSeconds: 30 })
  assert.ok(outage.passed() < 60)
  assert.match(house.log(), /out of memory/)
  assert.match(house.log(), /away/)
  assert.deepEqual(house.outages, ['DATABASE_UNAVAILABLE'])
})

for (const [name, bytes, code] of [
  ['an empty file', Buffer.alloc(0), 'IMAGE_EMPTY'],
  ['a text', Buffer.from('hello'), 'IMAGE_UNSUPPORTED_TYPE'],
  ['half a JPEG', picture.subarray(0, picture.length / 2), 'IMAGE_CORRUPT'],
] as const) {
  test(`${name} is dead-lettered, then recorded as failed, and is settled`, async () => {
    const house = build({ picture: bytes })
    assert.equal(await house.process(), 'settled')
    assert.deepEqual(house.writes, ['deadLetter', 'fail'])
    assert.deepEqual([house.job.error?.code, house.job.error?.retryable], [code, false])
    assert.deepEqual(
      house.deadLetters.map(({ reasonCode, attempts, imageKey }) => ({ reasonCode, attempts, imageKey })),
      [{ reasonCode: code, attempts: 1, imageKey: upload.key }],
    )
  })
}

test('a failed try is given back with its error, and tried again ever later', async () => {
  const house = build({ during: { compose: failWith(new RetryableFailure('GENERATION_FAILED', 'no luck')) } })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 5 })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 10 })
  assert.deepEqual(house.writes, ['release', 'release'])
  assert.deepEqual(house.job.error, { code: 'GENERATION_FAILED', message: 'no luck', retryable: true })
  assert.equal(house.job.attempt, 2)
})

test('an unknown error counts as a failed try', async () => {
  const house = build({ during: { classify: failWith(new TypeError('unexpected')) } })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 5 })
  assert.equal(house.job.error?.code, 'GENERATION_FAILED')
})

test('after the last try the picture fails for good', async () => {
  const house = build({ during: { compose: failWith(new Error('no luck')) } })
  house.job.attempt = 2
  assert.equal(await house.process(), 'settled')
  assert.deepEqual(house.writes, ['deadLetter', 'fail'])
  assert.deepEqual(house.job.error, { code: 'GENERATION_FAILED', message: 'no luck', retryable: true })
  assert.equal(house.deadLetters[0]?.attempts, 3)
})

for (const code of ['STORAGE_UNAVAILABLE', 'MODEL_UNAVAILABLE', 'DATABASE_UNAVAILABLE'] as ErrorCode[]) {
  test(`${code} is nobody's failed try, however often it happens`, async () => {
    const house = build({ during: { get: failWith(new RetryableFailure(code, 'away')) }, receiveCount: 3 })
    house.job.attempt = 2
    for (const _ of [1, 2, 3]) assert.deepEqual(await house.process(), { retryAfterSeconds: 120 })
    assert.deepEqual(house.writes, ['release', 'release', 'release'])
    assert.equal(house.job.attempt, 2)
    assert.deepEqual(house.outages, [code, code, code])
  })
}

test('an outage that is the picture’s own fault counts, begins none, and is in the end what it fails with', async () => {
  const house = build({
    during: { get: failWith(new RetryableFailure('STORAGE_UNAVAILABLE', 'kms:Decrypt')) },
    isOwnFault: () => true,
  })
  for (const retryAfterSeconds of [5, 10]) assert.deepEqual(await house.process(), { retryAfterSeconds })
  assert.equal(await house.process(), 'settled')
  assert.deepEqual(house.outages, [])
  assert.deepEqual([house.job.state, house.job.error?.code, house.job.attempt], ['failed', 'STORAGE_UNAVAILABLE', 3])
  const [{ reasonCode, reason } = assert.fail()] = house.deadLetters
  assert.deepEqual([reasonCode, reason], ['STORAGE_UNAVAILABLE', 'kms:Decrypt'])
})

test('with the database away nothing is begun', async () => {
  const house = build({ during: { claim: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'away')) } })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 30 })
  assert.deepEqual(house.writes, [])
})

test('a failure that cannot be dead-lettered is not recorded, and tried again, uncounted and under its own code', async () => {
  let isAway = true
  const deadLetter = () => {
    if (isAway) throw new RetryableFailure('STORAGE_UNAVAILABLE', 'away')
  }
  const house = build({ picture: Buffer.alloc(0), during: { deadLetter } })
  for (const _ of [1, 2, 3, 4]) assert.deepEqual(await house.process(), { retryAfterSeconds: 30 })
  assert.deepEqual(house.writes, ['release', 'release', 'release', 'release'])
  assert.deepEqual([house.job.state, house.job.attempt], ['queued', 0])
  isAway = false
  assert.equal(await house.process(), 'settled')
  assert.deepEqual([house.job.error?.code, house.deadLetters[0]?.attempts], ['IMAGE_EMPTY', 1])
})

function countCalls(compose: Inference['compose'], count: () => void): Inference['compose'] {
  return (...args) => {
    count()
    return compose(...args)
  }
}
