import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { SignOfLife } from '#shared/db/consumers.ts'
import { createSignOfLife } from '../../../../services/consumer/telemetry/sign-of-life.ts'

const model = (name: string) => ({ name, source: { revision: `${name}-1` } })

test('it is given at the start and every 15 s, with what is so then', async () => {
  const { life, start, pass, written, health } = build()
  await pass(5)
  assert.equal(written.length, 0)
  start()
  life.observer.messageReceived({ sentAt: undefined })
  await pass(14.9)
  assert.equal(written.length, 1)
  const first = written[0]!
  assert.match(first.id, /^[0-9a-f]{32}$/)
  assert.deepEqual(first, {
    id: first.id,
    version: '1.2.3',
    slots: 4,
    musicModel: 'musicgen',
    musicModelRevision: 'musicgen-1',
    classifierModel: 'clip',
    classifierModelRevision: 'clip-1',
    executionProviders: ['cuda', 'cpu'],
    state: 'running',
    inWork: 0,
    outages: [],
    clips: 0,
    realTimeFactor: undefined,
    receivedAgeSeconds: undefined,
    uptimeSeconds: 5,
  })
  health.inWork = 3
  health.outages = [{ code: 'DATABASE_UNAVAILABLE' }, { code: 'QUEUE_UNAVAILABLE' }]
  // Sent 2.5 s ago, and one by a clock that is ahead of ours.
  life.observer.messageReceived({ sentAt: epoch + 17_400 })
  await pass(0.1)
  const second = written[1]!
  assert.deepEqual(second, {
    ...first,
    inWork: 3,
    outages: ['DATABASE_UNAVAILABLE', 'QUEUE_UNAVAILABLE'],
    receivedAgeSeconds: 2.5,
    uptimeSeconds: 20,
  })
  life.observer.messageReceived({ sentAt: epoch + 99_000 })
  await pass(15)
  assert.equal(written[2]!.receivedAgeSeconds, 0)
})

test('speed is that of the last ten generations together, clips those of all', async () => {
  const { life, start, pass, written } = build()
  life.generated({ clips: 64, musicSeconds: 1_000, seconds: 1 })
  for (let nth = 0; nth < 9; nth++) life.generated({ clips: 2, musicSeconds: 20, seconds: 4 })
  life.generated({ clips: 1, musicSeconds: 10, seconds: 14 })
  start()
  await pass(0)
  assert.deepEqual([written[0]!.clips, written[0]!.realTimeFactor], [83, 190 / 50])
})

test('that it stops is told at once, and after that the row goes and nothing is written', async () => {
  const { life, start, pass, written, removed } = build()
  start()
  await pass(3)
  life.stopping()
  await pass(0)
  assert.deepEqual(
    written.map(({ state }) => state),
    ['running', 'stopping'],
  )
  await life.stop()
  assert.deepEqual(removed, [written[0]!.id])
  await pass(120)
  assert.equal(written.length, 2)
})

test('one that never started has nothing to take away', async () => {
  const { life, removed } = build()
  life.stopping()
  await life.stop()
  assert.deepEqual(removed, [])
})

test('writes never overlap: what changes meanwhile is told right after, and the row goes last', async () => {
  const { life, start, pass, written, removed, hold } = build()
  const first = hold()
  start()
  await pass(100)
  assert.equal(written.length, 1)
  life.stopping()
  life.stopping()
  await pass(100)
  assert.equal(written.length, 1)
  const second = hold()
  first.resolve()
  await pass(0)
  assert.deepEqual(
    written.map(({ state }) => state),
    ['running', 'stopping'],
  )
  const stopped = life.stop()
  await pass(0)
  assert.deepEqual(removed, [])
  second.resolve()
  await stopped
  assert.equal(removed.length, 1)
  assert.equal(written.length, 2)
})

test('what fails is logged once for each outage, and tried again at the next beat', async () => {
  const { start, pass, written, warnings, fail } = build()
  fail(new Error('away'))
  start()
  await pass(60)
  assert.deepEqual(warnings, ['the sign of life could not be written'])
  fail(undefined)
  await pass(15)
  assert.equal(written.length, 6)
  assert.equal(warnings.length, 1)
  fail(new Error('away again'))
  await pass(30)
  assert.equal(warnings.length, 2)
})

test('a database that does not answer keeps nobody from stopping', async (t) => {
  const { life, start, pass, hold, removed, warnings } = build()
  const hanging = hold()
  start()
  await pass(0)
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const stopped = life.stop()
  t.mock.timers.tick(1_000)
  await stopped
  assert.deepEqual(warnings, ['the sign of life could not be taken away'])
  assert.equal(removed.length, 0)
  hanging.resolve()
  await pass(30)
  assert.equal(removed.length, 1)
})

const epoch = Date.parse('2026-01-02T03:04:05Z')

/** With a clock that stands still but for `pass`, and a database in memory. */
function build() {
  let now = epoch
  let timers: { at: number; run: () => void }[] = []
  let held: Promise<void> | undefined
  let failure: Error | undefined
  const written: SignOfLife[] = []
  const removed: string[] = []
  const warnings: string[] = []
  const health = { inWork: 0, outages: [] as { code: string }[] }
  const life = createSignOfLife({
    consumers: {
      async write(sign) {
        written.push(sign)
        const until = held
        held = undefined
        await until
        if (failure) throw failure
      },
      remove: async (id) => void removed.push(id),
    },
    logger: { warn: (_fields: object, message: string) => void warnings.push(message) },
    now: () => now,
    after(milliseconds, run) {
      const timer = { at: now + milliseconds, run }
      timers.push(timer)
      return () => {
        timers = timers.filter((each) => each !== timer)
      }
    },
  })
  return {
    life,
    written,
    removed,
    warnings,
    health,
    start: () =>
      life.start({
        version: '1.2.3',
        slots: 4,
        inference: {
          musicManifest: model('musicgen'),
          classifierManifest: model('clip'),
          executionProviders: () => ['cuda', 'cpu'],
        },
        health: () => health,
      }),
    /** The next write lasts until this is resolved. */
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      held = promise
      return { resolve }
    },
    fail(error: Error | undefined): void {
      failure = error
    },
    async pass(seconds: number): Promise<void> {
      const end = now + seconds * 1000
      for (;;) {
        await setImmediate()
        const [next] = timers.toSorted((one, other) => one.at - other.at)
        if (!next || next.at > end) break
        timers = timers.filter((each) => each !== next)
        now = next.at
        next.run()
      }
      now = end
    },
  }
}
