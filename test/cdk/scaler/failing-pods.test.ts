import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reportOf } from '../../../cdk/scaler/report.ts'
import { RunpodError } from '../../../cdk/scaler/runpod.ts'
import { usual } from './simulated-day.ts'
import { simulateHours, usdPerHour, type World } from './simulated-hours.ts'

const exited = { status: 'EXITED', usdPerHour: 0 }
const exitsAtOnce: World['look'] = () => exited
/** As RunPod shows a container that dies, for a while. */
const exitsAfterRunning: World['look'] = (_, age) => (age <= 120 ? { status: 'RUNNING' } : exited)
const starts: World['look'] = (_, age) => ({ status: age < usual.start_seconds ? 'STARTING' : 'RUNNING' })
const hours = 60

test('pods that exit at once are ordered ever more rarely, at least every ten minutes', async () => {
  const { rounds, made } = simulateHours({ limits: { min_pods: 1 }, look: exitsAtOnce })
  const found = await rounds(10 * hours)
  const minutes = found.flatMap(({ created }, minute) => created.map(() => minute))
  // One more at once: a single failure is ordinary.
  assert.deepEqual(minutes.slice(0, 9), [0, 1, 4, 9, 18, 29, 40, 51, 62])
  assert.ok(made() <= 65, `${made()} pods in ten hours`)
  assert.ok(made() >= 50, 'it is tried on')
})

test('with a backlog too, of which the pods that exit cost what they are counted', async () => {
  const { rounds, made, memory } = simulateHours({ limits: { max_pods: 8 }, backlog: 10_000, look: exitsAtOnce })
  await rounds(10 * hours)
  assert.ok(made() <= 8 + 65, `${made()} pods in ten hours`)
  const oneMinute = usdPerHour / 60
  assert.equal(memory.state?.spentUsd.toFixed(4), (made() * oneMinute).toFixed(4))
})

test('the reason says how many have failed, and when the next is ordered', async () => {
  const { rounds } = simulateHours({ limits: { min_pods: 1 }, look: exitsAtOnce })
  const found = await rounds(7)
  assert.match(found[5]!.decision.reason, /at least 1 kept; 3 pods in a row have failed, the next is ordered in 4 min$/)
  assert.match(found[6]!.decision.reason, /; 3 pods in a row have failed, the next is ordered in 3 min$/)
  assert.deepEqual(
    found.map((round) => reportOf('testing', 0, round).FailedPods),
    [0, 1, 1, 0, 0, 1, 0],
  )
})

test('a pod that is RUNNING until its container has died is no success', async () => {
  const { rounds, made } = simulateHours({ limits: { min_pods: 1 }, look: exitsAfterRunning })
  await rounds(10 * hours)
  assert.ok(made() <= 60, `${made()} pods in ten hours`)
})

test('while they fail, four do so in every hour', async () => {
  for (const look of [exitsAtOnce, exitsAfterRunning]) {
    const { rounds } = simulateHours({ limits: { min_pods: 1 }, look })
    const failed = (await rounds(5 * hours)).map(({ decision }) => decision.failed)
    for (let minute = hours; minute <= failed.length; minute++) {
      const inAnHour = failed.slice(minute - hours, minute).reduce((sum, count) => sum + count, 0)
      assert.ok(inAnHour >= 4, `${inAnHour} in the hour up to minute ${minute}`)
    }
  }
})

test('pods that never become ready are ordered ever more rarely', async () => {
  const look: World['look'] = () => ({ status: 'STARTING' })
  const { rounds, made } = simulateHours({ limits: { max_pods: 8 }, backlog: 10_000, look })
  await rounds(10 * hours)
  assert.ok(made() <= 8 + 60, `${made()} pods in ten hours`)
})

test('pods that are never listed are ordered ever more rarely', async () => {
  const { rounds, made } = simulateHours({ limits: { max_pods: 8 }, backlog: 10_000, list: () => [] })
  await rounds(15)
  assert.equal(made(), 8 + 1)
  await rounds(10 * hours)
  assert.ok(made() <= 8 + 60, `${made()} pods in ten hours`)
})

test('orders that RunPod cannot answer are no pods that fail', async () => {
  const { rounds, world, pods } = simulateHours({ limits: { max_pods: 8 }, backlog: 10_000 })
  world.order = () => {
    throw new RunpodError('POST /v2/pods: 502 bad gateway', { status: 502 })
  }
  const found = await rounds(12)
  assert.ok(found.every(({ decision, faults }) => decision.failed === 0 && faults.length > 0))
  delete world.order
  await rounds(4)
  assert.equal(pods.size, 8)
})

test('what the list has lost is named while it counts', async () => {
  const { rounds, pods } = simulateHours({ limits: { min_pods: 2, max_pods: 2 } })
  await rounds(10)
  pods.clear()
  const [round] = await rounds(1)
  assert.deepEqual([round!.created.length, reportOf('testing', 0, round!).missing.length], [0, 2])
})

test('when the cause is mended, the next pod has all others ordered as soon as it has worked for a while', async () => {
  const { rounds, world, pods } = simulateHours({ limits: { max_pods: 8 }, backlog: 10_000, look: exitsAtOnce })
  await rounds(5 * hours)
  world.look = starts
  const found = await rounds(10 + usual.start_seconds / 60 + 7)
  assert.equal(pods.size, 8)
  const ordered = found.map(({ created }) => created.length).filter((count) => count > 0)
  assert.deepEqual(ordered, [1, 7])
})

test('other settings are tried at once', async () => {
  const { rounds, world } = simulateHours({ limits: { max_pods: 8 }, backlog: 10_000, look: exitsAtOnce })
  await rounds(5 * hours + 1)
  world.image = 'consumer:2'
  world.look = starts
  const [found] = await rounds(1)
  assert.equal(found?.created.length, 8)
})

test('pods that fail among others that work hold nothing up', async () => {
  const { rounds, world, pods } = simulateHours({ limits: { max_pods: 20, min_pods: 5 } })
  await rounds(20)
  const working = new Set(pods.keys())
  world.backlog = 1_000
  await rounds(1)
  const [first, second, third] = [...pods.keys()].filter((id) => !working.has(id))
  world.look = (pod, age) => ([first, second, third].includes(pod.id) ? exited : starts(pod, age))
  world.backlog = 10_000
  const [found] = await rounds(1)
  assert.equal(found?.decision.failed, 3)
  assert.equal(pods.size, 20)
})

test('pods that have worked and end are all followed at once', async () => {
  const { rounds, world, pods } = simulateHours({ limits: { max_pods: 8, min_pods: 8 } })
  await rounds(20)
  const ended = new Set(pods.keys())
  world.look = (pod, age) => (ended.has(pod.id) ? exited : starts(pod, age))
  const [found] = await rounds(1)
  assert.equal(found?.decision.failed, 8)
  assert.equal(found?.created.length, 8)
})

test('pods of other settings that fail hold none of these up', async () => {
  const { rounds, world } = simulateHours({ limits: { max_pods: 8 }, backlog: 10_000 })
  await rounds(1)
  const { look } = world
  world.image = 'consumer:2'
  world.order = () => {
    throw new RunpodError('POST /v2/pods: 400 sold out', { status: 400 })
  }
  await rounds(1)
  delete world.order
  world.look = (pod, age) => (Number(pod.id.slice(3)) <= 8 ? exited : look(pod, age))
  const [found] = await rounds(1)
  assert.equal(found?.decision.failed, 8)
  assert.equal(found?.created.length, 8)
})

test('pods that work do not excuse more failures than they are', async () => {
  const { rounds, world, made } = simulateHours({ limits: { max_pods: 8, min_pods: 3 }, look: starts })
  await rounds(20)
  world.backlog = 10_000
  world.look = (pod, age) => (Number(pod.id.slice(3)) <= 3 ? starts(pod, age) : exited)
  await rounds(10 * hours)
  assert.ok(made() <= 8 + 65, `${made()} pods in ten hours`)
})

test('a failed pod that cannot be removed is one failure', async () => {
  const { rounds, world, pods } = simulateHours({ limits: { max_pods: 8 }, backlog: 1, look: starts })
  await rounds(20)
  const [stubborn] = pods.values()
  world.look = (pod, age) => (pod.id === stubborn?.id ? exited : starts(pod, age))
  world.list = (all) => [{ ...stubborn!, ...exited }, ...all.filter(({ id }) => id !== stubborn?.id)]
  const found = await rounds(20)
  assert.deepEqual(
    found.map(({ decision }) => decision.failed).filter((count) => count > 0),
    [1],
  )
})

test('failures of an earlier hour do not hold up the pods of this one', async () => {
  const { rounds, world } = simulateHours({ limits: { max_pods: 8 }, backlog: 1_000, look: exitsAtOnce })
  await rounds(30)
  world.backlog = 0
  world.look = starts
  await rounds(hours + usual.ready_seconds / 60)
  world.backlog = 10_000
  const [found] = await rounds(1)
  assert.equal(found?.created.length, 8)
})
