import assert from 'node:assert/strict'
import { test } from 'node:test'
import { untilAborted, withDeadline } from '#shared/deadline.ts'

const late = () => new Error('late')

test('what ends in time is passed on, value or error', async () => {
  assert.equal(await withDeadline(Promise.resolve(1), 60_000, late), 1)
  await assert.rejects(withDeadline(Promise.reject(new Error('early')), 60_000, late), /early/)
})

test('what does not end is given up', async () => {
  await assert.rejects(withDeadline(new Promise(() => {}), 1, late), /late/)
})

test('what is aborted is given up with the reason of the signal, before or while it is waited for', async () => {
  const reason = new Error('not wanted')
  await assert.rejects(untilAborted(new Promise(() => {}), AbortSignal.abort(reason)), reason)
  const controller = new AbortController()
  const waiting = untilAborted(new Promise(() => {}), controller.signal)
  controller.abort(reason)
  await assert.rejects(waiting, reason)
  assert.equal(await untilAborted(Promise.resolve(1), new AbortController().signal), 1)
})
