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

test('the tries are bounded in time, and what the last one threw is thrown', async (t) => {
  const { written, tries, errors, endedAt } = repeat(t, () => {
    throw away
  })
  await assert.rejects(written, away)
  assert.equal(endedAt(), 30_000)
  assert.equal(tries(), 9, 'at most 5 s apart')
  assert.equal(errors.length, 9)
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
  await assert.rejects(written, away)
  assert.equal(tries(), 2)
})

/** A minute passes, half a second at a time. */
function repeat(t: TestContext, write: (tries: number) => string, signal = new AbortController().signal) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const errors: unknown[] = []
  let tries = 0
  let endedAt = Number.NaN
  const pending = retryWrite(async () => write(++tries), {
    signal,
    seconds: 30,
    random: () => 1,
    onError: (error) => errors.push(error),
  })
  const end = () => {
    endedAt = Date.now()
  }
  pending.then(end, end)
  const minute = async () => {
    for (let half = 0; half < 120; half++) {
      await setImmediate()
      t.mock.timers.tick(500)
    }
  }
  return { written: minute().then(() => pending), tries: () => tries, errors, endedAt: () => endedAt }
}
