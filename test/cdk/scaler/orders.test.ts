import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RunpodError } from '../../../cdk/scaler/runpod.ts'
import { simulateHours, usdPerHour } from './simulated-hours.ts'

const limits = { max_pods: 8 }
const nothing = { list: () => [] }

test('a pod that RunPod does not list is not ordered again', async () => {
  const { made, rounds, memory } = simulateHours({ ...nothing, limits: { min_pods: 1 } })
  const found = await rounds(10)
  assert.equal(made(), 1)
  assert.ok(found.every(({ faults }) => faults.length === 0))
  assert.equal(memory.state?.spentUsd.toFixed(4), ((9 / 60) * usdPerHour).toFixed(4), 'at the price of the answer')
})

test('the most pods that there may be are the most that are ordered, when RunPod lists none', async () => {
  const { made, rounds } = simulateHours({ ...nothing, limits, backlog: 10_000 })
  await rounds(10)
  assert.equal(made(), 8)
})

test('an order that is never seen is told of once, with where to look, and then forgotten', async () => {
  const { made, rounds, world } = simulateHours({ ...nothing, limits: { min_pods: 2 } })
  await rounds(10)
  world.limits.min_pods = 0
  const found = await rounds(5)
  const [fault, ...others] = found.flatMap(({ faults }) => faults)
  assert.match(
    fault ?? '',
    /^2 pods .*never listed.* 00000001, 00000002: look in the RunPod console, under the account of the API key/,
  )
  assert.deepEqual(others, [])
  assert.equal(made(), 2)
})

test('a list that is behind by minutes costs no pod too many, and none its costs', async () => {
  const { made, rounds, world, pods, memory } = simulateHours({ limits, backlog: 10_000 })
  world.list = (all) =>
    all.filter(({ createdAt }) => createdAt < Date.parse('2026-03-04') + (world.minute - 4) * 60_000)
  await rounds(31)
  assert.equal(made(), 8)
  assert.equal(pods.size, 8)
  assert.equal(memory.state?.spentUsd.toFixed(4), (8 * 0.5 * usdPerHour).toFixed(4))
})

test('pods that a list leaves out for minutes count among the most that there may be, and are charged when they are back', async () => {
  const { made, rounds, world, memory } = simulateHours({ limits, backlog: 10_000 })
  await rounds(20)
  const list = world.list
  Object.assign(world, nothing)
  await rounds(6)
  assert.equal(made(), 8)
  Object.assign(world, { list })
  await rounds(5)
  assert.equal(made(), 8)
  assert.equal(memory.state?.spentUsd.toFixed(4), (8 * 0.5 * usdPerHour).toFixed(4))
})

test('a pod that is gone is followed by another at once where there is room, and in ten minutes where there is none', async () => {
  const { made, rounds, pods, world } = simulateHours({ limits: { min_pods: 1, max_pods: 2 } })
  await rounds(10)
  pods.clear()
  await rounds(1)
  assert.equal(made(), 2)

  await rounds(10)
  Object.assign(world.limits, { max_pods: 1 })
  pods.clear()
  await rounds(10)
  assert.equal(made(), 2)
  await rounds(1)
  assert.equal(made(), 3)
})

test('a pod that RunPod lists as TERMINATED is known to be gone', async () => {
  const { rounds, world, made } = simulateHours({ limits: { min_pods: 1, max_pods: 1 } })
  await rounds(10)
  world.look = ({ id }) => ({ status: id === 'pod1' ? 'TERMINATED' : 'RUNNING' })
  await rounds(1)
  assert.equal(made(), 2)
})

test('an order without an answer may have made a pod: it is waited for, for three minutes', async () => {
  const { made, rounds, world } = simulateHours({ limits: { min_pods: 1 } })
  const silence = () => {
    throw new RunpodError('POST /v2/pods: no answer within 30000 ms')
  }
  world.order = silence
  assert.deepEqual(
    (await rounds(3)).map(({ faults }) => faults.length),
    [1, 0, 0],
  )
  delete world.order
  const [after] = await rounds(1)
  assert.match(after?.faults[0] ?? '', /^1 pod .*never listed.* 00000001\b/)
  assert.equal(made(), 1)
})

test('a pod that was made by an order without an answer costs from its beginning, also when it is listed late', async () => {
  const { rounds, world, pods, memory } = simulateHours({ limits: { min_pods: 1 }, ...nothing })
  world.order = ({ name }) => {
    pods.set('late', { id: 'late', name, status: 'RUNNING', usdPerHour: 6, createdAt: Date.parse('2026-03-04') })
    throw new RunpodError('POST /v2/pods: 502 bad gateway', { status: 502 })
  }
  await rounds(2)
  assert.equal(memory.state?.spentUsd, 0)
  world.list = (all) => all
  await rounds(1)
  assert.equal(pods.size, 1)
  assert.equal(memory.state?.spentUsd.toFixed(4), '0.2000')
})

test('an order that is refused is not waited for', async () => {
  const { made, rounds, world } = simulateHours({ limits: { min_pods: 1 } })
  for (const status of [400, 402, 403, 429]) {
    world.order = () => {
      throw new RunpodError(`POST /v2/pods: ${status} no`, { status })
    }
    await rounds(1)
  }
  delete world.order
  await rounds(1)
  assert.equal(made(), 1)
})
