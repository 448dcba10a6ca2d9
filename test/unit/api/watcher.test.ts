import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { isFinal } from '#shared/contract/result.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { createReader } from '../../../services/api/reader.ts'
import type { ShownJob } from '../../../services/api/result.ts'
import { createWatcher } from '../../../services/api/watcher.ts'
import { fakeResults, foundJob, succeededJob } from '../../found-job.ts'
import { bucket } from '../../job.ts'

const key = 'uploads/a.jpg'
const { signal } = new AbortController()
const caller = 'an app'
const hasEnded = (found: ShownJob | undefined) => found !== undefined && isFinal(found.job.state)

/** A clock that goes only when it is told to, and a watcher by it. */
function start(_t: TestContext) {
  let time = 1_000_000
  let timers: { at: number; run: () => void }[] = []
  const clock = {
    now: () => time,
    after(milliseconds: number, run: () => void) {
      const timer = { at: time + milliseconds, run }
      timers.push(timer)
      return () => {
        timers = timers.filter((each) => each !== timer)
      }
    },
  }
  const results = fakeResults(clock.now)
  const errors: unknown[] = []
  const reader = createReader({ results, bucket })
  const watcher = createWatcher({ reader, bucket, onError: (error) => errors.push(error), clock })
  const at = (ago = 0) => new Date(time - ago)

  /** Lets the time pass, and everything happen that does in it. */
  async function pass(milliseconds: number): Promise<void> {
    const end = time + milliseconds
    await nextTurn()
    for (;;) {
      const next = timers.toSorted((a, b) => a.at - b.at)[0]
      if (!next || next.at > end) break
      timers = timers.filter((each) => each !== next)
      time = Math.max(time, next.at)
      next.run()
      await nextTurn()
    }
    time = end
    await nextTurn()
  }
  return { watcher, results, errors, pass, at, clock, timers: () => timers.length }
}

test('500 who wait for one job are answered together, and the row is read once', async (t) => {
  const { watcher, results, pass, at } = start(t)
  results.set(foundJob(key, { state: 'processing', stage: 'composing', etaSeconds: 30, updatedAt: at() }))
  const waiting = Array.from({ length: 500 }, () =>
    watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 60_000 }),
  )
  await pass(10_000)
  assert.equal(results.rowsAsked, 0)
  assert.ok(results.standingsAsked <= 21, `${results.standingsAsked} looks in 10 s`)
  results.set(succeededJob(key, { updatedAt: at() }))
  await pass(1_000)
  const found = await Promise.all(waiting)
  assert.ok(found.every((each) => each?.analysis?.genre === 'landscape'))
  assert.equal(results.rowsAsked, 1)
})

for (const [what, job] of [
  ['is being stored', { state: 'processing', stage: 'storing' }],
  ['will end by its estimate', { state: 'processing', stage: 'composing', etaSeconds: 0.5 }],
  ['has just been received', { state: 'queued' }],
] as const) {
  test(`the end of a job that ${what} is told within 200 ms`, async (t) => {
    const { watcher, results, pass, at } = start(t)
    results.set(foundJob(key, { ...job, updatedAt: at() }))
    let told = false
    const waiting = watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 60_000 }).then(() => (told = true))
    await pass(730)
    results.set(succeededJob(key, { updatedAt: at() }))
    await pass(150)
    assert.ok(told)
    await waiting
  })
}

test('an estimate grows old: the end is looked for when it has come near', async (t) => {
  const { watcher, results, pass, at } = start(t)
  results.set(foundJob(key, { state: 'processing', stage: 'composing', etaSeconds: 8, updatedAt: at() }))
  const waiting = watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 60_000 })
  await pass(7_400)
  const early = results.standingsAsked
  assert.ok(early <= 15, `${early} looks`)
  await pass(600)
  assert.ok(results.standingsAsked >= early + 5, `${results.standingsAsked - early} looks in the last half second`)
  results.set(succeededJob(key, { updatedAt: at() }))
  await pass(150)
  assert.equal((await waiting)?.job.state, 'succeeded')
})

test('queries never pass two a second by more than those saved, though ends are always near and always come', async (t) => {
  const { watcher, results, pass, at, clock } = start(t)
  const began = clock.now()
  for (let second = 0; second < 120; second++) {
    const name = `uploads/${second}.jpg`
    results.set(foundJob(name, { state: 'processing', stage: 'storing', updatedAt: at() }))
    watcher.until({ key: name }, hasEnded, { caller, signal, timeoutMs: 60_000 }).catch(() => {})
    await pass(500)
    results.set(succeededJob(name, { updatedAt: at() }))
    await pass(500)
    const asked = results.standingsAsked + results.rowsAsked
    assert.ok(asked <= 21 + (2 * (clock.now() - began)) / 1000, `${asked} queries after ${second + 1} s`)
  }
})

test('a job that should have ended long ago does not use up what is saved', async (t) => {
  const { watcher, results, pass, at } = start(t)
  results.set(foundJob(key, { state: 'processing', stage: 'storing', updatedAt: at(60_000) }))
  watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 600_000 }).catch(() => {})
  await pass(10_000)
  assert.ok(results.standingsAsked <= 21, `${results.standingsAsked} looks in 10 s`)
})

test('who comes new is answered at once, however many have come before', async (t) => {
  const { watcher, results, pass, at } = start(t)
  for (let n = 0; n < 60; n++) {
    const key = `uploads/${n}.jpg`
    results.set(succeededJob(key, { updatedAt: at() }))
    const waiting = watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 60_000 })
    await pass(100)
    const found = await Promise.race([waiting, undefined])
    assert.equal(found?.job.state, 'succeeded', `the ${n}th`)
  }
})

test('while nobody waits there is no timer and no query', async (t) => {
  const { watcher, results, pass, timers } = start(t)
  await pass(10_000)
  assert.deepEqual([results.standingsAsked, timers()], [0, 0])
  const stop = watcher.watch({ key }, () => {}, { caller })
  await pass(1_000)
  assert.ok(results.standingsAsked > 0)
  stop()
  const asked = results.standingsAsked
  await pass(60_000)
  assert.deepEqual([results.standingsAsked, timers()], [asked, 0])
})

test('a listener hears of every revision once; one that comes later hears what is known without a query', async (t) => {
  const { watcher, results, pass, at } = start(t)
  const heard: (string | undefined)[] = []
  const hear = (found: ShownJob | undefined) => heard.push(found && `${found.job.state} ${found.job.progress}`)
  watcher.watch({ key }, hear, { caller })
  await pass(1_000)
  results.set(foundJob(key, { state: 'queued', updatedAt: at() }))
  await pass(2_000)
  results.set(foundJob(key, { state: 'processing', progress: 0.5, updatedAt: at() }))
  await pass(2_000)
  results.set(succeededJob(key, { updatedAt: at() }))
  await pass(2_000)
  assert.deepEqual(heard, [undefined, 'queued 0', 'processing 0.5', 'succeeded 1'])
  const asked = results.standingsAsked
  watcher.watch({ key }, hear, { caller })
  await nextTurn()
  assert.equal(heard.at(-1), 'succeeded 1')
  assert.equal(results.standingsAsked, asked)
})

test('a newer version is the answer unless one is named', async (t) => {
  const { watcher, results, pass, at } = start(t)
  const job = { state: 'processing', updatedAt: at() } as const
  results.set(foundJob(key, { ...job, version: 'v1', sequencer: '01' }))
  const any = watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 60_000 })
  const first = watcher.until({ key, version: 'v1' }, hasEnded, { caller, signal, timeoutMs: 60_000 })
  await pass(2_000)
  results.set(succeededJob(key, { version: 'v2', sequencer: '02', updatedAt: at() }))
  await pass(2_000)
  results.set(succeededJob(key, { version: 'v1', sequencer: '01', updatedAt: at() }))
  await pass(2_000)
  assert.equal((await any)?.job.version, 'v2')
  assert.equal((await first)?.job.version, 'v1')
})

test('when the time is up the job is answered as it stands', async (t) => {
  const { watcher, results, pass } = start(t)
  results.set(foundJob(key, { state: 'processing', progress: 0.25 }))
  const waiting = watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 20_000 })
  await pass(20_000)
  assert.equal((await waiting)?.job.progress, 0.25)
})

test('a database that is away is asked again ever less often, and who waits is answered when it is back', async (t) => {
  const { watcher, results, errors, pass, at } = start(t)
  results.set(foundJob(key, { state: 'processing', updatedAt: at() }))
  const early = watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 60_000 })
  await pass(1_000)
  results.failure = new RetryableFailure('DATABASE_UNAVAILABLE', 'gone')
  const asked = results.standingsAsked
  const late = watcher.until({ key: 'uploads/b.jpg' }, hasEnded, { caller, signal, timeoutMs: 20_000 })
  late.catch(() => {})
  await pass(30_000)
  assert.ok(results.standingsAsked - asked <= 10, `${results.standingsAsked - asked} tries in 30 s`)
  assert.equal(errors.length, results.standingsAsked - asked)
  await assert.rejects(late, (error: RetryableFailure) => error.code === 'DATABASE_UNAVAILABLE')
  results.failure = undefined
  results.set(succeededJob(key, { updatedAt: at() }))
  await pass(5_500)
  assert.equal((await early)?.job.state, 'succeeded')
})

test('who goes away is watched no longer', async (t) => {
  const { watcher, pass, timers } = start(t)
  const client = new AbortController()
  const waiting = watcher.until({ key }, hasEnded, { caller, signal: client.signal, timeoutMs: 60_000 })
  await pass(100)
  client.abort(new Error('gone'))
  await assert.rejects(waiting, /gone/)
  await nextTurn()
  assert.equal(timers(), 0)
})

test('closing answers all who wait with what is known, and whoever comes after', async (t) => {
  const { watcher, results, pass, timers } = start(t)
  results.set(foundJob(key, { state: 'processing' }))
  const waiting = watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 60_000 })
  let ended = false
  watcher.watch({ key }, () => {}, { caller, onClose: () => (ended = true) })
  await pass(100)
  watcher.close()
  assert.equal((await waiting)?.job.state, 'processing')
  assert.ok(ended)
  await assert.rejects(watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 60_000 }), RetryableFailure)
  await nextTurn()
  assert.equal(timers(), 0)
})

test('a caller may have as many watched as it leaves to others, so that there is room for all; one who leaves makes some', async (t) => {
  const { watcher } = start(t)
  const isFull = (error: RetryableFailure) => error.code === 'OVERLOADED'
  let asked = 0
  const one = (caller: string) => watcher.watch({ key: `uploads/${asked++}` }, () => {}, { caller })
  /** As many as it may, and how many that are. */
  const fill = (caller: string) => {
    const stops: (() => void)[] = []
    assert.throws(() => {
      for (;;) stops.push(one(caller))
    }, isFull)
    return stops
  }
  const first = fill('a greedy app')
  const second = fill('another')
  assert.deepEqual([first.length, second.length, watcher.waiting.total()], [1_000, 500, 1_500])
  for (let n = 0; n < 20; n++) one(`app ${n}`)
  assert.throws(() => one('a greedy app'), isFull)
  for (const stop of first) stop()
  first[0]!()
  assert.equal(watcher.waiting.total(), 520)
  const again = fill('a greedy app')
  assert.equal(again.length, 740)
  again[0]!()
  one('a greedy app')
})

test('waking it has it look at once', async (t) => {
  const { watcher, results, pass, at } = start(t)
  results.set(foundJob(key, { state: 'processing', etaSeconds: 60, updatedAt: at() }))
  const waiting = watcher.until({ key }, hasEnded, { caller, signal, timeoutMs: 60_000 })
  await pass(2_450)
  results.set(foundJob(key, { state: 'canceled', updatedAt: at() }))
  watcher.wake()
  await pass(60)
  assert.equal((await waiting)?.job.state, 'canceled')
})
