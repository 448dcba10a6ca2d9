import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import { retryWrite } from '../../../../services/consumer/pipeline/retry.ts'

const away = new RetryableFailure('DATABASE_UNAVAILABLE', 'away')

test('a write is repeated until it succeeds, and each failure heard of', async (t) => {
  const { written, tries, errors } = repeat(t, (tries) => {
    if (tries < 4) throw away
    return 'written'
  })
  assert.equal(await written, 'written')
  assert.equal(tries(), 4)
  assert.deepEqual(errors, [away, away, away])
})

test('the tries are bounded', async (t) => {
  const { written, tries, errors } = repeat(t, () => {
    throw away
  })
  await assert.rejects(written, away)
  assert.equal(tries(), 8)
  assert.equal(errors.length, 7)
})

for (const error of [new PermanentFailure('IMAGE_CORRUPT', 'broken'), new TypeError('unexpected')]) {
  test(`a ${error.name} is thrown at once`, async (t) => {
    const { written, tries } = repeat(t, () => {
      throw error
    })
    await assert.rejects(written, error)
    assert.equal(tries(), 1)
  })
}

test('nothing is repeated after the signal, during the wait either', async (t) => {
  const stop = new AbortController()
  const { written, tries } = repeat(
    t,
    (tries) => {
      if (tries === 2) queueMicrotask(() => stop.abort())
      throw away
    },
    stop.signal,
  )
  await assert.rejects(written)
  assert.equal(tries(), 2)
})

/** A minute passes, a second at a time. */
function repeat(t: TestContext, write: (tries: number) => string, signal = new AbortController().signal) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const errors: unknown[] = []
  let tries = 0
  const pending = retryWrite(async () => write(++tries), {
    signal,
    random: () => 1,
    onError: (error) => errors.push(error),
  })
  pending.catch(() => {})
  const minute = async () => {
    for (let second = 0; second < 60; second++) {
      await setImmediate()
      t.mock.timers.tick(1000)
    }
  }
  return { written: minute().then(() => pending), tries: () => tries, errors }
}
