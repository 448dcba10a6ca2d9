import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import type { Inference } from '../../../../services/consumer/pipeline/music-maker.ts'
import { build, failWith, picture, upload } from './pipeline-on-fakes.ts'

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
  test(`an outage of seconds at ${step} does not cost the music`, async (t) => {
    const outage = passingOutage(t, 3)
    const house = build({ during: { [step]: outage.strike } })
    let compositions = 0
    house.inference.compose = countCalls(house.inference.compose, () => compositions++)
    assert.equal(await outage.until(house.process()), 'settled')
    assert.equal(house.job.state, 'succeeded')
    assert.equal(compositions, 1)
  })

  test(`an outage at ${step} that lasts gives the picture back, uncounted`, async (t) => {
    const outage = passingOutage(t, Number.POSITIVE_INFINITY)
    const house = build({ during: { [step]: outage.strike } })
    assert.deepEqual(await outage.until(house.process()), { retryAfterSeconds: 30 })
    assert.deepEqual([house.job.state, house.job.attempt], ['queued', 0])
    assert.deepEqual(house.outages, ['STORAGE_UNAVAILABLE'])
  })
}

test('when neither the work nor giving it back succeeds, both errors are logged', async () => {
  const house = build({
    during: {
      compose: failWith(new Error('out of memory')),
      release: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'no database')),
    },
  })
  assert.deepEqual(await house.process(), { retryAfterSeconds: 30 })
  assert.match(house.log(), /out of memory/)
  assert.match(house.log(), /no database/)
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

/** So many calls fail; after each failure time passes, and else it stands still. */
function passingOutage(t: TestContext, failures: number) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const secondsPerFailure = 10
  let struck = 0
  return {
    strike(): void {
      if (struck === failures) return
      struck++
      throw new RetryableFailure('STORAGE_UNAVAILABLE', 'away')
    },
    async until<T>(pending: Promise<T>): Promise<T> {
      const finished = pending.then(() => true)
      let passed = 0
      while (!(await Promise.race([finished, setImmediate(false)]))) {
        if (passed === struck * secondsPerFailure) continue
        t.mock.timers.tick(1000)
        passed++
      }
      return pending
    },
  }
}

function countCalls(compose: Inference['compose'], count: () => void): Inference['compose'] {
  return (...args) => {
    count()
    return compose(...args)
  }
}
