import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stagesOf } from '../../../../services/api/web/stages.ts'

const told = (result: Parameters<typeof stagesOf>[0]) =>
  stagesOf(result)
    .map(({ name, state }) => `${name} ${state}`)
    .join(', ')

test('the stages before the current one are done, and those after it ahead', () => {
  assert.equal(
    told({ status: 'queued' }),
    'queued current, fetching ahead, classifying ahead, composing ahead, storing ahead',
  )
  assert.equal(
    told({ status: 'processing', stage: 'composing' }),
    'queued done, fetching done, classifying done, composing current, storing ahead',
  )
})

test('work that has begun and says no stage is at its first', () => {
  assert.equal(
    told({ status: 'processing' }),
    'queued done, fetching current, classifying ahead, composing ahead, storing ahead',
  )
  assert.equal(told({ status: 'processing', take: 1 }), 'queued done, composing current, storing ahead')
})

test('a later take has no picture to fetch, unless it says that it does', () => {
  assert.equal(told({ status: 'queued', take: 2 }), 'queued current, composing ahead, storing ahead')
  assert.equal(
    told({ status: 'processing', stage: 'storing', take: 2 }),
    'queued done, composing done, storing current',
  )
  assert.equal(
    told({ status: 'processing', stage: 'fetching', take: 2 }),
    'queued done, fetching current, composing ahead, storing ahead',
  )
})

test('what waits again after an attempt that failed is at the beginning', () => {
  assert.match(told({ status: 'queued', stage: 'composing' }), /^queued current, fetching ahead/)
})
