import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { createVolumeLock } from '../../../../services/consumer/pod/volume-lock.ts'

const never = new AbortController().signal
let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-lock-'))
  path = join(folder, 'lock')
})

afterEach(() => rm(folder, { recursive: true }))

const createLock = (abandonedMs = 60_000, renewMs = 10) =>
  createVolumeLock({ path, logger: pino({ enabled: false }), renewMs, abandonedMs, lookMs: 5 })

/** How many work at once, at most. */
function createCounter() {
  let now = 0
  let most = 0
  return {
    async work() {
      most = Math.max(most, ++now)
      await sleep(30)
      now--
    },
    most: () => most,
  }
}

test('of several one works at a time, and each gets its turn', async () => {
  const counter = createCounter()
  await Promise.all(Array.from({ length: 4 }, () => createLock().hold(never, counter.work)))
  assert.equal(counter.most(), 1)
  assert.equal(existsSync(path), false)
})

test('it is given back when the work fails', async () => {
  const lock = createLock()
  await assert.rejects(
    lock.hold(never, async () => assert.fail('no disk')),
    /no disk/,
  )
  await lock.hold(never, async () => {})
})

test('one that a dead pod has left goes to one of those who wait', async () => {
  await mkdir(path)
  const counter = createCounter()
  await Promise.all(Array.from({ length: 4 }, () => createLock(200).hold(never, counter.work)))
  assert.equal(counter.most(), 1)
  assert.equal(existsSync(path), false)
})

test('one that is held long is not taken for abandoned', async () => {
  const order: string[] = []
  const first = createLock(200).hold(never, async () => {
    await sleep(600)
    order.push('first')
  })
  await sleep(20)
  await createLock(200).hold(never, async () => {
    order.push('second')
  })
  await first
  assert.deepEqual(order, ['first', 'second'])
})

test('who comes back from a long pause takes the lock away from nobody', async () => {
  const order: string[] = []
  const paused = createLock(1_000, 60_000).hold(never, () => sleep(1_500))
  await sleep(20)
  const [second, third] = ['second', 'third'].map((name) =>
    createLock(1_000).hold(never, async () => {
      order.push(`${name} begins`)
      await sleep(1_600)
      order.push(`${name} ends`)
    }),
  )
  await Promise.all([paused, second, third])
  const [first] = order[0]!.split(' ')
  const last = first === 'second' ? 'third' : 'second'
  assert.deepEqual(order, [`${first} begins`, `${first} ends`, `${last} begins`, `${last} ends`])
  assert.equal(existsSync(path), false)
})

test('who has lost it does not renew it for its successor', async () => {
  await createLock().hold(never, async () => {
    await mkdir(join(path, 'taken-over-1'))
    // One renewal may be under way.
    await sleep(50)
    const { mtimeMs } = await stat(path)
    await sleep(100)
    assert.equal((await stat(path)).mtimeMs, mtimeMs)
  })
  assert.equal(existsSync(path), true)
})

test('who is told to stop waits no more', async () => {
  await mkdir(path)
  const stopping = new AbortController()
  const waiting = createLock().hold(stopping.signal, async () => assert.fail('it is not its turn'))
  stopping.abort()
  await assert.rejects(waiting, { name: 'AbortError' })
  assert.equal(existsSync(path), true)
})
