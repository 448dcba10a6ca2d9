import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { PermanentFailure } from '#shared/failure.ts'
import { build, outageOf } from './pipeline-on-fakes.ts'

for (const step of ['get', 'compose', 'put', 'succeed', 'deadLetter'] as const) {
  test(`canceled during ${step}: nothing is written after it, and the message is settled`, async () => {
    const house = build({
      ...(step === 'deadLetter' && { picture: Buffer.alloc(0) }),
      during: { [step]: (_steal: () => void, cancel: () => void) => cancel() },
    })
    assert.equal(await house.process(), 'settled')
    const before = { get: [], compose: [], put: ['put'], succeed: ['put'], deadLetter: ['deadLetter'] }
    assert.deepEqual([house.job.state, house.writes], ['canceled', before[step]])
    assert.deepEqual(
      house.ended.map(({ outcome }) => outcome),
      ['canceled'],
    )
  })
}

test('a dead letter of a job that was canceled since leaves it canceled', async () => {
  const house = build({ failureId: 'f' })
  Object.assign(house.job, { state: 'canceled', token: 'f' })
  assert.equal(await house.process(), 'settled')
  assert.deepEqual([house.job.state, house.writes], ['canceled', []])
})

for (const [whose, outcome, heard] of [
  ['this try', 'settled', 'succeeded'],
  ['another', 'left', 'lost'],
] as const) {
  test(`a success of ${whose} whose answer is lost while a renewal finds the job ended: it is ${heard}`, async (t) => {
    const outage = outageOf(t, 30)
    const house = build({
      during: {
        succeeded: (steal) => {
          if (whose === 'another') steal()
          outage.strike()
        },
      },
    })
    assert.equal(await outage.until(house.process()), outcome)
    assert.equal(house.job.state, 'succeeded')
    assert.deepEqual(
      house.ended.map(({ outcome, attempt }) => ({ outcome, attempt })),
      [{ outcome: heard, attempt: 1 }],
    )
  })
}

for (const [stage, writesBefore] of [
  ['get', []],
  ['classify', []],
  ['compose', []],
  ['put', ['put']],
] as const) {
  test(`a lease lost during ${stage}: nothing is written after it`, async () => {
    const house = build({ during: { [stage]: (steal: () => void) => steal() } })
    assert.equal(await house.process(), 'left')
    assert.deepEqual(house.writes, writesBefore)
  })

  test(`a lease lost and an error during ${stage}: the error is not written either`, async () => {
    const house = build({
      during: {
        [stage]: (steal: () => void) => {
          steal()
          throw new PermanentFailure('IMAGE_CORRUPT', 'broken')
        },
      },
    })
    assert.equal(await house.process(), 'left')
    assert.deepEqual(house.writes, writesBefore)
  })
}

test('a message that is no longer ours loses the lease as well, and the job is free for the next', async () => {
  const house = build({ extend: async () => false })
  assert.equal(await house.process(), 'left')
  assert.deepEqual(house.writes, ['release'])
  assert.deepEqual([house.job.state, house.job.attempt], ['queued', 0])
})

for (const stage of ['get', 'classify', 'compose'] as const) {
  test(`a stop during ${stage} gives the picture back, uncounted`, async () => {
    const stop = new AbortController()
    const house = build({ during: { [stage]: () => stop.abort(new Error('stop')) }, signal: stop.signal })
    assert.deepEqual(await house.process(), { retryAfterSeconds: 0 })
    assert.deepEqual(house.writes, ['release'])
    assert.deepEqual([house.job.state, house.job.attempt, house.job.error], ['queued', 0, undefined])
  })
}

test('a stop during the last write does not undo it', async () => {
  const stop = new AbortController()
  const house = build({ during: { succeed: () => stop.abort() }, signal: stop.signal })
  assert.equal(await house.process(), 'settled')
  assert.equal(house.job.state, 'succeeded')
})

test('the lease is renewed while composing, with the visibility of the message', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let renewals = 0
  const house = build({
    extend: async () => {
      renewals++
      return true
    },
    during: { compose: () => composeForMinutes(t) },
  })
  assert.equal(await house.process(), 'settled')
  assert.ok(renewals >= 8, `the lease of 60 s was renewed ${renewals} times in 120 s`)
})

async function composeForMinutes(t: TestContext): Promise<void> {
  for (let seconds = 0; seconds < 120; seconds++) {
    t.mock.timers.tick(1000)
    for (let turns = 0; turns < 20; turns++) await Promise.resolve()
  }
}
