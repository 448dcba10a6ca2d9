import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createDeadline } from '../../../../services/api/client/clock.ts'

test('a deadline further away than a timer can be set for is none, and is ended from outside all the same', async () => {
  for (const milliseconds of [Number.POSITIVE_INFINITY, 30 * 24 * 60 * 60_000]) {
    const outer = new AbortController()
    const deadline = createDeadline(milliseconds, outer.signal)
    deadline.start()
    await sleep(20)
    assert.equal(deadline.signal.aborted, false)
    outer.abort()
    assert.equal(deadline.signal.aborted, true)
  }
})

test('a deadline runs from its last start', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const deadline = createDeadline(100, undefined)
  deadline.start()
  t.mock.timers.tick(90)
  deadline.start()
  t.mock.timers.tick(90)
  assert.equal(deadline.signal.aborted, false)
  t.mock.timers.tick(10)
  assert.equal(deadline.signal.aborted, true)
})
