import assert from 'node:assert/strict'
import { test } from 'node:test'
import { withDeadline } from '#shared/deadline.ts'

const late = () => new Error('late')

test('what ends in time is passed on, value or error', async () => {
  assert.equal(await withDeadline(Promise.resolve(1), 60_000, late), 1)
  await assert.rejects(withDeadline(Promise.reject(new Error('early')), 60_000, late), /early/)
})

test('what does not end is given up', async () => {
  await assert.rejects(withDeadline(new Promise(() => {}), 1, late), /late/)
})
