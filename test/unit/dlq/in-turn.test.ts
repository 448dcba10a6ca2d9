import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AuditError } from '../../../services/dlq/audit.ts'
import { inTurn } from '../../../services/dlq/in-turn.ts'

const rate = Number.POSITIVE_INFINITY

test('the item at hand is finished when the work is aborted, and no other begun, however slow the rate', async () => {
  const stop = new AbortController()
  const finished: number[] = []
  const step = async (item: number) => {
    if (item === 2) stop.abort()
    await Promise.resolve()
    finished.push(item)
  }
  const options = { rate, signal: stop.signal, onError: assert.fail }
  assert.deepEqual(await inTurn([1, 2, 3, 4], step, options), { done: 2, failed: 0, rest: 2 })
  assert.deepEqual(finished, [1, 2])

  const early = new AbortController()
  const slowly = inTurn([1, 2], async () => early.abort(), { rate: 0.01, signal: early.signal, onError: assert.fail })
  assert.deepEqual(await slowly, { done: 1, failed: 0, rest: 1 })
})

test('failures are told and passed over, but not many one after the other', async () => {
  const told: string[] = []
  const step = async (item: string) => {
    if (item === 'bad') throw new Error('said')
  }
  const options = {
    rate,
    signal: new AbortController().signal,
    onError: (item: string, { message }: Error) => told.push(`${item} ${message}`),
  }
  const items = ['bad', 'bad', 'good', 'bad', 'bad', 'bad', 'good']
  assert.deepEqual(await inTurn(items, step, options), { done: 1, failed: 5, rest: 1 })
  assert.deepEqual(told, Array(5).fill('bad said'))
})

test('nothing is done that cannot be put on the trail', async () => {
  let begun = 0
  const step = async () => {
    begun++
    throw new AuditError('full')
  }
  const options = { rate, signal: new AbortController().signal, onError: assert.fail }
  await assert.rejects(inTurn([1, 2], step, options), AuditError)
  assert.equal(begun, 1)
})
