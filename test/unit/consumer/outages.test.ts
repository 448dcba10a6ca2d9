import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { createOutages } from '../../../services/consumer/outages.ts'

test('without an outage nobody waits', async (t) => {
  const { outages, signal, probes } = watch(t, () => {})
  await outages.over(signal)
  assert.equal(probes(), 0)
})

test('all wait for the same probe, ever longer, until it succeeds', async (t) => {
  let isAway = true
  const { begin, pass, waiters, probes } = watch(t, () => {
    if (isAway) throw new Error('away')
  })
  begin('DATABASE_UNAVAILABLE')
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
  const { begin, pass, waiters } = watch(t, () => {
    throw new Error('away')
  })
  begin('STORAGE_UNAVAILABLE')
  const passed = waiters(1)
  begin('DATABASE_UNAVAILABLE')
  await pass(30)
  assert.equal(passed(), 0)
})

test('what has no probe is given time', async (t) => {
  const { begin, pass, waiters } = watch(t, () => {})
  begin('MODEL_UNAVAILABLE')
  const passed = waiters(1)
  await pass(0)
  assert.equal(passed(), 0)
  await pass(1)
  assert.equal(passed(), 1)
})

test('a probe that never succeeds does not stop the work for good', async (t) => {
  const { begin, pass, waiters } = watch(t, () => {
    throw new Error('forbidden')
  })
  begin('DATABASE_UNAVAILABLE')
  const passed = waiters(1)
  await pass(270)
  assert.equal(passed(), 1)
})

test('what is away is told with since when, until a probe succeeds', async (t) => {
  let isAway = true
  const { outages, begin, pass, waiters } = watch(t, () => {
    if (isAway) throw new Error('away')
  })
  begin('DATABASE_UNAVAILABLE')
  const [{ code, since } = assert.fail()] = outages.current()
  assert.deepEqual([code, since instanceof Date], ['DATABASE_UNAVAILABLE', true])
  waiters(1)
  await pass(270)
  begin('DATABASE_UNAVAILABLE')
  assert.deepEqual(outages.current(), [{ code, since }], 'the same, though it was waited for no more')
  waiters(1)
  isAway = false
  await pass(30)
  assert.deepEqual(outages.current(), [])
})

test('a picture that succeeds disproves what is waited for no more, and nothing else', async (t) => {
  const { outages, begin, pass, waiters } = watch(t, () => {
    throw new Error('forbidden')
  })
  begin('DATABASE_UNAVAILABLE')
  outages.disprove(Date.now() + 1, { isOfPicture: true })
  assert.equal(outages.current().length, 1)
  waiters(1)
  await pass(270)
  outages.disprove(0, { isOfPicture: true })
  assert.equal(outages.current().length, 1, 'it was begun before the outage')
  outages.disprove(Date.now(), { isOfPicture: true })
  assert.deepEqual(outages.current(), [])
})

test('a later take that succeeds disproves what no picture has belied', async (t) => {
  const { outages, begin, pass, waiters } = watch(t, () => {
    throw new Error('forbidden')
  })
  begin('MODEL_UNAVAILABLE')
  waiters(1)
  await pass(270)
  outages.disprove(Date.now(), { isOfPicture: false })
  assert.deepEqual(outages.current(), [])
})

test('and leaves what pictures have belied to them', async (t) => {
  const { outages, begin, pass, waiters } = watch(t, () => {})
  for (const _ of [1, 2]) {
    begin('STORAGE_UNAVAILABLE')
    waiters(1)
    await pass(10)
  }
  outages.disprove(Date.now(), { isOfPicture: false })
  assert.equal(outages.current().length, 1)
  outages.disprove(Date.now(), { isOfPicture: true })
  assert.deepEqual(outages.current(), [])
})

test('an outage whose probe pictures belie goes on until one succeeds, with ever longer pauses', async (t) => {
  const { outages, begin, pass, waiters } = watch(t, () => {})
  begin('DATABASE_UNAVAILABLE')
  const [{ since } = assert.fail()] = outages.current()
  for (const [pause, told] of [
    [1, 0],
    [2, 1],
    [4, 1],
    [8, 1],
    [16, 1],
    [30, 1],
    [30, 1],
  ] as const) {
    const passed = waiters(4)
    await pass(pause - 1)
    assert.equal(passed(), 0)
    await pass(1)
    assert.equal(passed(), 4, `after ${pause} s some are received`)
    assert.equal(outages.current().length, told)
    await pass(600)
    begin('DATABASE_UNAVAILABLE')
    assert.deepEqual(outages.current(), [{ code: 'DATABASE_UNAVAILABLE', since }])
  }
  waiters(1)
  await pass(30)
  outages.disprove(Date.now(), { isOfPicture: true })
  assert.deepEqual(outages.current(), [])
  begin('DATABASE_UNAVAILABLE')
  const passed = waiters(1)
  await pass(1)
  assert.equal(passed(), 1, 'another outage')
})

test('a try that was begun before the probe succeeded belies nothing: its outage is another', async (t) => {
  const { outages, begin, pass, waiters } = watch(t, () => {})
  for (const _ of [1, 2, 3]) {
    begin('DATABASE_UNAVAILABLE', 0)
    assert.equal(Number(outages.current()[0]!.since), Date.now())
    const passed = waiters(1)
    await pass(1)
    assert.deepEqual([passed(), outages.current()], [1, []])
  }
})

test('an outage whose probe was belied is told no more when no picture has met it for half an hour', async (t) => {
  const { outages, begin, pass, waiters } = watch(t, () => {})
  for (const _ of [1, 2]) {
    begin('DATABASE_UNAVAILABLE')
    waiters(1)
    await pass(10)
  }
  await pass(1700)
  assert.equal(outages.current().length, 1)
  await pass(100)
  assert.deepEqual(outages.current(), [])
  begin('DATABASE_UNAVAILABLE')
  assert.equal(Number(outages.current()[0]!.since), Date.now())
})

test('an outage is a picture’s own fault where another has succeeded since it last met one, and the probe does', async (t) => {
  let isAway = false
  const { outages, pass, signal } = watch(t, () => {
    if (isAway) throw new Error('away')
  })
  const meet = () => outages.isOwnFault('DATABASE_UNAVAILABLE', 'a', signal)
  outages.disprove(Date.now(), { isOfPicture: true })
  await pass(1)
  assert.equal(await meet(), false, 'others have succeeded before')
  const begunBefore = Date.now()
  await pass(1)
  assert.equal(await meet(), false, 'nothing has succeeded since')
  outages.disprove(begunBefore, { isOfPicture: true })
  await pass(1)
  assert.equal(await meet(), false, 'what has succeeded since was begun before')
  outages.disprove(Date.now(), { isOfPicture: true })
  await pass(1)
  isAway = true
  assert.equal(await meet(), false, 'it is away')
  outages.disprove(Date.now(), { isOfPicture: true })
  isAway = false
  assert.equal(await outages.isOwnFault('DATABASE_UNAVAILABLE', 'b', signal), false, 'this one has met none before')
  await pass(1)
  outages.disprove(Date.now(), { isOfPicture: true })
  await pass(1)
  assert.equal(await meet(), true)
  assert.equal(await meet(), false, 'nothing has succeeded since')
})

test('a stop ends the wait', async (t) => {
  const { outages, begin, stop, signal } = watch(t, () => {})
  begin('DATABASE_UNAVAILABLE')
  const waits = [outages.over(signal), outages.over(signal)]
  stop()
  for (const each of waits) await assert.rejects(each, { name: 'AbortError' })
})

function watch(t: TestContext, probe: () => void) {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'] })
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
    now: Date.now,
    logger: pino({ enabled: false }),
  })
  return {
    outages,
    begin: (code: ErrorCode, startedAt = Date.now()) => outages.begin(code, startedAt),
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
