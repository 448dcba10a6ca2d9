import assert from 'node:assert/strict'
import { test } from 'node:test'
import { market, oracleUsd, simulateDay, usual } from './simulated-day.ts'

test('a day of work is done within the target, for a fraction of what it costs to be ready for it all day', async () => {
  const day = await simulateDay({ seed: 1 })
  assert.ok(day.pictures > 4_000, `${day.pictures} pictures`)
  assert.equal(day.left, 0)
  assert.ok(day.mostPods <= usual.max_pods, `${day.mostPods} pods at once`)
  // Not all: a pod that never starts costs its pictures the time until another is ordered.
  assert.ok(day.seconds.p95 <= usual.target_seconds, `95 of 100 within ${day.seconds.p95} s`)
  assert.equal(day.burstSeconds.length, 2)
  for (const seconds of day.burstSeconds) assert.ok(seconds < 2 * usual.target_seconds, `a burst takes ${seconds} s`)

  // The fewest pods that do so when they never go.
  const ready = await simulateDay({ seed: 1, alwaysOn: 5 })
  assert.ok(ready.seconds.p95 <= usual.target_seconds, `95 of 100 within ${ready.seconds.p95} s`)
  assert.ok((await simulateDay({ seed: 1, alwaysOn: 4 })).seconds.p95 > usual.target_seconds)
  assert.ok(day.usd < ready.usd / 4, `$${day.usd.toFixed(2)} of $${ready.usd.toFixed(2)}`)
  assert.ok(day.usd > oracleUsd(day.pictures), 'an oracle is not to be beaten')
})

test('what is spent is the cap at most, and a minute of every pod', async () => {
  const limits = { ...usual, daily_usd: 3 }
  const day = await simulateDay({ seed: 1, limits })
  assert.ok(day.usd <= 3 + (usual.max_pods * 0.5) / 60, `$${day.usd.toFixed(2)}`)
  assert.ok(day.left > 0, 'the rest waits for tomorrow')
})

test('what is counted is what pods cost, but for the last minute, or a minute more of each that exits', async () => {
  const lastMinute = (usual.max_pods * market.usdPerHour) / 60
  for (const seed of [1, 2, 3]) {
    const day = await simulateDay({ seed })
    assert.ok(day.usd - day.countedUsd < lastMinute, `$${day.countedUsd} of $${day.usd}`)
    assert.ok(day.countedUsd < day.usd + 0.01, `$${day.countedUsd} of $${day.usd}`)

    const worse = await simulateDay({ seed, exits: 0.5 })
    assert.ok(worse.usd - worse.countedUsd < lastMinute, `$${worse.countedUsd} of $${worse.usd}`)
    assert.ok(worse.countedUsd < worse.usd + (worse.created * market.usdPerHour) / 60)
  }
})

test('an occasional pod that fails holds no burst up, and is no alarm', async () => {
  for (const seed of [1, 2, 3, 4]) {
    const day = await simulateDay({ seed })
    assert.ok(day.mostFailedInAnHour < 4, `${day.mostFailedInAnHour} have failed within an hour`)
    // Of twenty, one never starts, and another exits at once.
    const worse = await simulateDay({ seed, exits: 0.05 })
    for (const seconds of worse.burstSeconds)
      assert.ok(seconds < 1.5 * usual.target_seconds, `a burst takes ${seconds} s`)
    assert.ok(worse.seconds.p95 < 1.1 * day.seconds.p95, `95 of 100 within ${worse.seconds.p95} s`)
  }
})

test('the same seed gives the same day', async () => {
  assert.deepEqual(await simulateDay({ seed: 7 }), await simulateDay({ seed: 7 }))
})
