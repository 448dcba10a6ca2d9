import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import { createOutages } from '../../../services/consumer/outages.ts'

test('without an outage nobody waits', async (t) => {
  const { outages, signal, probes } = watch(t, () => {})
  await outages.over(signal)
  assert.equal(probes(), 0)
})

test('all wait for the same probe, ever longer, until it succeeds', async (t) => {
  let isAway = true
  const { outages, pass, waiters, probes } = watch(t, () => {
    if (isAway) throw new Error('away')
  })
  outages.begin('DATABASE_UNAVAILABLE')
  const passed = waiters(4)
  await pass(60)
  assert.equal(passed(), 0)
  assert.equal(probes(), 5, 'after 1, 3, 7, 15 and 31 s')
  isAway = false
  await pass(30)
  assert.equal(passed(), 4)
  assert.equal(probes(), 6)
})

test('an outage that begins during another is waited for as well', async (t) => {
  const { outages, pass, waiters } = watch(t, () => {
    throw new Error('away')
  })
  outages.begin('STORAGE_UNAVAILABLE')
  const passed = waiters(1)
  outages.begin('DATABASE_UNAVAILABLE')
  await pass(30)
  assert.equal(passed(), 0)
})

test('what has no probe is given time', async (t) => {
  const { outages, pass, waiters } = watch(t, () => {})
  outages.begin('MODEL_UNAVAILABLE')
  const passed = waiters(1)
  await pass(0)
  assert.equal(passed(), 0)
  await pass(1)
  assert.equal(passed(), 1)
})

test('a probe that never succeeds does not stop the work for good', async (t) => {
  const { outages, pass, waiters } = watch(t, () => {
    throw new Error('forbidden')
  })
  outages.begin('DATABASE_UNAVAILABLE')
  const passed = waiters(1)
  await pass(270)
  assert.equal(passed(), 1)
})

test('what is away is told with since when, until a probe succeeds', async (t) => {
  let isAway = true
  const { outages, pass, waiters } = watch(t, () => {
    if (isAway) throw new Error('away')
  })
  outages.begin('DATABASE_UNAVAILABLE')
  const [{ code, since } = assert.fail()] = outages.current()
  assert.deepEqual([code, since instanceof Date], ['DATABASE_UNAVAILABLE', true])
  waiters(1)
  await pass(270)
  outages.begin('DATABASE_UNAVAILABLE')
  assert.deepEqual(outages.current(), [{ code, since }], 'the same, though it was waited for no more')
  waiters(1)
  isAway = false
  await pass(1)
  assert.deepEqual(outages.current(), [])
})

test('a picture that succeeds disproves what is waited for no more, and nothing else', async (t) => {
  const { outages, pass, waiters } = watch(t, () => {
    throw new Error('forbidden')
  })
  outages.begin('DATABASE_UNAVAILABLE')
  outages.disprove()
  assert.equal(outages.current().length, 1)
  waiters(1)
  await pass(270)
  assert.equal(outages.current().length, 1)
  outages.disprove()
  assert.deepEqual(outages.current(), [])
})

test('a stop ends the wait', async (t) => {
  const { outages, stop, signal } = watch(t, () => {})
  outages.begin('DATABASE_UNAVAILABLE')
  const waits = [outages.over(signal), outages.over(signal)]
  stop()
  for (const each of waits) await assert.rejects(each, { name: 'AbortError' })
})

function watch(t: TestContext, probe: () => void) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const stopping = new AbortController()
  let probes = 0
  const outages = createOutages({
    probes: {
      STORAGE_UNAVAILABLE: async () => {},
      DATABASE_UNAVAILABLE: async () => {
        probes++
        probe()
      },
    },
    random: () => 1,
    logger: pino({ enabled: false }),
  })
  return {
    outages,
    signal: stopping.signal,
    stop: () => stopping.abort(),
    probes: () => probes,
    /** How many of so many have passed. */
    waiters(count: number): () => number {
      let passed = 0
      for (let each = 0; each < count; each++) void outages.over(stopping.signal).then(() => passed++)
      return () => passed
    },
    async pass(seconds: number): Promise<void> {
      await setImmediate()
      for (let second = 0; second < seconds; second++) {
        t.mock.timers.tick(1000)
        await setImmediate()
      }
    },
  }
}
