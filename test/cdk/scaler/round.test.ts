import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { reportOf } from '../../../cdk/scaler/report.ts'
import { revisionOf, runRound } from '../../../cdk/scaler/round.ts'
import { createRunpod, RunpodError } from '../../../cdk/scaler/runpod.ts'
import type { Limits } from '../../../cdk/scaler/settings.ts'
import type { State } from '../../../cdk/scaler/state.ts'
import { problem, startFakeRunpod } from '../../fake-runpod.ts'
import { until } from '../../until.ts'

const apiKey = 'rpa_a-key-that-nobody-sees'
const now = Date.parse('2026-03-04T12:00:00Z')
const { signal: never } = new AbortController()
const limits: Limits = {
  min_pods: 0,
  max_pods: 3,
  seconds_per_picture: 3,
  start_seconds: 150,
  target_seconds: 450,
  cool_down_seconds: 0,
  ready_seconds: 900,
  daily_usd: 10,
  cloud: 'SECURE',
  gpus: ['small', 'large'],
  min_cuda: '12.8',
  places: [
    { data_center: 'near', volume: 'v1' },
    { data_center: 'far', volume: 'v2' },
  ],
}
const pod = {
  image: 'consumer:2',
  registry: 'reg1',
  disk_gb: 20,
  model_path: '/models',
  environment: { BUCKET: 'pictures', DATABASE_URL: '{{ RUNPOD_SECRET_database_url }}' },
}

test('the first GPU in the first place with one left is ordered, with its network volume', async (t) => {
  const { fake, round } = await start(t)
  for (const sold of ['small@near', 'large@near']) fake.soldOut.add(sold)
  const { created, withoutCapacity, faults } = await round({ backlog: 150 })
  assert.deepEqual([created, withoutCapacity.pods, faults], [['pod1', 'pod2'], 0, []])
  const orders = fake.requests.filter(({ method }) => method === 'POST').map(({ body }) => body!)
  assert.deepEqual(
    orders.map(({ gpu, dataCenterIds }) => `${gpu.id}@${dataCenterIds}`),
    ['small@near', 'large@near', 'small@far', 'small@far'],
    'what is sold out is not asked for twice',
  )
  assert.deepEqual(orders.at(-1), {
    name: `promenade-testing-${revisionOf(pod)}-00000002`,
    image: 'consumer:2',
    registry: 'reg1',
    disk: 20,
    env: pod.environment,
    ports: [],
    cloud: 'SECURE',
    gpu: { id: 'small', count: 1, minCudaVersion: '12.8' },
    dataCenterIds: ['far'],
    mounts: { network: [{ volumeId: 'v2', path: '/models' }] },
  })
})

test('without a GPU anywhere nothing is made, which is no fault, and what RunPod said is told', async (t) => {
  const { fake, round } = await start(t)
  for (const sold of ['small@near', 'large@near', 'small@far', 'large@far']) fake.soldOut.add(sold)
  const found = await round({ backlog: 150 })
  assert.deepEqual([found.created, found.faults, found.withoutCapacity.pods], [[], [], 2])
  const report = reportOf('testing', now, found)
  assert.equal(report.PodsWithoutCapacity, 2)
  assert.match(report.capacity ?? '', /400 There are no instances currently available/)
})

test('a pool that is not ours, or a volume that is gone, is passed over; without balance nothing more is tried', async (t) => {
  const { fake, round } = await start(t)
  fake.answers.push({ status: 200, body: { pods: [] } }, problem(403, 'not yours'), problem(404, 'no volume v1'))
  const { created, withoutCapacity } = await round({ backlog: 1 })
  assert.deepEqual(created, ['pod1'])
  assert.match(withoutCapacity.detail ?? '', /404 no volume v1/)

  fake.requests.length = 0
  fake.answers.push({ status: 200, body: { pods: [] } }, problem(402, 'insufficient balance'))
  const broke = await round({ backlog: 300 })
  assert.deepEqual([broke.created, broke.faults], [[], ['POST /v2/pods: 402 insufficient balance']])
  assert.equal(fake.requests.length, 2)
})

test('an order without an answer is not repeated: the next list shows whether it made a pod', async (t) => {
  const { fake, round } = await start(t, { orderTimeoutMs: 100 })
  fake.answers.push({ status: 200, body: { pods: [] } }, 'silence')
  const { created, faults } = await round({ backlog: 300 })
  assert.deepEqual([created, faults], [[], ['POST /v2/pods: no answer within 100 ms']])
  assert.equal(fake.requests.filter(({ method }) => method === 'POST').length, 1)
})

test('pods are remembered by their names before they are ordered, then by their prices; what was refused is not', async (t) => {
  const { fake, round, states } = await start(t)
  fake.answers.push(
    { status: 200, body: { pods: [] } },
    { status: 201, body: listed('pod1') },
    problem(402, 'no balance'),
  )
  const { created } = await round({ backlog: 300 })
  assert.deepEqual(created, ['pod1'])
  const [before, after, ...others] = states.writes
  assert.deepEqual(before?.orders, { '00000001': [now, null], '00000002': [now, null], '00000003': [now, null] })
  assert.deepEqual(after?.orders, { '00000001': [now, 0.5] })
  assert.deepEqual(others, [])
})

test('a round that is cut off while it orders remembers what it may have ordered', async (t) => {
  const cut = new AbortController()
  const { fake, round, states } = await start(t, { signal: cut.signal })
  fake.answers.push({ status: 200, body: { pods: [] } }, { status: 201, body: listed('pod1') }, 'silence')
  const asked = round({ backlog: 300 })
  await until(() => fake.requests.length >= 3)
  cut.abort(new Error('out of time'))
  assert.deepEqual((await asked).faults, ['out of time'])
  assert.deepEqual(states.saved?.orders, { '00000001': [now, 0.5], '00000002': [now, null] })
})

test('what cannot be remembered after the orders is a fault, and what was before them stays', async (t) => {
  const { round, states } = await start(t)
  states.failures.push(undefined, new Error('SSM is away'))
  const { created, faults } = await round({ backlog: 1 })
  assert.deepEqual([created, faults], [['pod1'], ['SSM is away']])
  assert.deepEqual(states.saved?.orders, { '00000001': [now, null] })
})

test('an order may take longer than reading: it looks for a place', async (t) => {
  const { fake, round } = await start(t, { timeoutMs: 1_000, orderTimeoutMs: 30_000 })
  const made = { id: 'pod9', name: 'slow', status: 'PROVISIONING', cost: 0.5, createdAt: new Date(now).toISOString() }
  fake.answers.push({ status: 200, body: { pods: [] } }, { status: 201, body: made, afterMs: 1_500 })
  assert.deepEqual((await round({ backlog: 1 })).created, ['pod9'])
})

test('reading and ending are tried again, as often as bounded', async (t) => {
  const { fake, round } = await start(t)
  await round({ backlog: 1 })
  fake.answers.push(problem(503, 'later'), problem(429, 'slower', { 'retry-after': '0.01' }))
  assert.deepEqual((await round({ backlog: 0 })).removed, ['pod1'])
  assert.equal(fake.pods.size, 0)

  fake.answers.push(problem(500, 'a'), problem(500, 'b'), problem(500, 'c'))
  await assert.rejects(round({ backlog: 0 }), /GET \/v2\/pods: 500 c/)
})

test('a pod that cannot be ended keeps none other from it; one that is gone is as wanted', async (t) => {
  const { fake, round } = await start(t)
  await round({ backlog: 150 })
  const list = { status: 200, body: { pods: [...fake.pods.values()] } }
  fake.answers.push(list, problem(409, 'it belongs to a cluster'))
  const partly = await round({ backlog: 0 })
  assert.match(partly.faults.join(), /^DELETE \/v2\/pods\/pod[12]: 409 it belongs to a cluster$/)
  assert.equal(partly.removed.length, 1)

  fake.answers.push(list)
  assert.deepEqual((await round({ backlog: 0 })).removed.toSorted(), ['pod1', 'pod2'])
})

test('pods that RunPod does not end within the round keep no other from being ended', async (t) => {
  const cut = new AbortController()
  const { fake, round } = await start(t, { timeoutMs: 30_000, signal: cut.signal })
  await round({ backlog: 300 })
  for (const id of ['pod1', 'pod2']) fake.stuck.add(id)
  const asked = round({ backlog: 0 })
  await until(() => !fake.pods.has('pod3'))
  cut.abort(new Error('out of time'))
  const { removed, faults } = await asked
  assert.deepEqual([removed, faults.length], [['pod3'], 2])
})

test('an order that the round has no time left for is not remembered as sent', async (t) => {
  const cut = new AbortController()
  const { fake, round, states } = await start(t, { signal: cut.signal })
  const exited = { ...listed('p0'), name: `promenade-testing-${revisionOf(pod)}-0000000a`, image: '', status: 'EXITED' }
  fake.pods.set('p0', exited)
  fake.stuck.add('p0')
  const asked = round({ backlog: 1 })
  await until(() => fake.requests.length >= 2)
  cut.abort(new Error('out of time'))
  assert.deepEqual((await asked).faults, ['out of time'])
  assert.deepEqual(states.writes.at(0)?.orders, { '00000001': [now, null] })
  assert.deepEqual(states.saved?.orders, {})
})

test('pods on every page of the list count: a page may be short, and yet not the last', async (t) => {
  const { fake, runpod, round } = await start(t)
  await round({ backlog: 1 })
  const pods = [...fake.pods.values()]
  const page = (body: object) => ({ status: 200, body })
  const first = page({ pods: [], pagination: { hasNextPage: true, nextCursor: 'a&b' } })
  fake.answers.push(first, page({ pods, pagination: { hasNextPage: false, nextCursor: null } }))
  assert.deepEqual((await round({ backlog: 1 })).created, [], 'the pod of the second page is enough')
  assert.deepEqual(
    fake.requests.slice(-2).map(({ path }) => path),
    ['/v2/pods', '/v2/pods?cursor=a%26b'],
  )

  fake.answers.push(page({ pods, pagination: { hasNextPage: true, nextCursor: null } }))
  await assert.rejects(runpod.list(never), /does not say where its next page is/)
})

test('what cannot be seen stops the round before anything is done', async (t) => {
  const { fake, round, states } = await start(t)
  fake.answers.push({ status: 200, body: { items: [] } })
  await assert.rejects(round({ backlog: 100 }), /the answer is no list of pods/)
  await assert.rejects(round({ backlog: Number.NaN }), /no numbers/)
  assert.equal(fake.requests.filter(({ method }) => method !== 'GET').length, 0)
  assert.equal(states.saved, undefined)
})

test('the key is in no message, whatever the server says', async (t) => {
  const { fake, runpod } = await start(t)
  fake.answers.push(problem(422, `you sent ${apiKey} ${'x'.repeat(1_000)}`))
  const error = await runpod.list(never).then(
    () => assert.fail('it is refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof RunpodError)
  assert.equal(error.status, 422)
  assert.ok(!JSON.stringify([error.message, error.stack, error]).includes(apiKey))
  assert.ok(error.message.length < 400)
})

test('a redirection is not followed', async (t) => {
  const { fake, runpod } = await start(t)
  const elsewhere = { status: 302, headers: { location: `${fake.endpoint}/elsewhere` } }
  fake.answers.push(elsewhere, elsewhere, elsewhere)
  await assert.rejects(runpod.list(never), RunpodError)
  assert.ok(fake.requests.every(({ path }) => path === '/v2/pods'))
})

test('a round is one line with its reason, in the metric format of CloudWatch', async (t) => {
  const { round } = await start(t)
  const report = reportOf('testing', now, await round({ backlog: 150 }))
  const [directive] = report._aws.CloudWatchMetrics
  assert.equal(directive?.Namespace, 'Promenade')
  for (const { Name } of directive?.Metrics ?? [])
    assert.equal(typeof (report as Record<string, unknown>)[Name], 'number')
  assert.equal(report.Backlog, 150)
  assert.equal(report.UnattendedBacklog, 150)
  assert.equal(report.CreatedPods, 2)
  assert.equal(report.reason, '150 in the queue take 2 pods to be done in 450 s')
})

function listed(id: string) {
  return { id, name: id, status: 'PROVISIONING', cost: 0.5, createdAt: new Date(now).toISOString() }
}

async function start(t: TestContext, { timeoutMs = 5_000, orderTimeoutMs = 5_000, signal = never } = {}) {
  const fake = await startFakeRunpod({ apiKey, now: () => now })
  t.after(() => fake.stop())
  const runpod = createRunpod({ apiKey, endpoint: fake.endpoint, timeoutMs, orderTimeoutMs, backoffMs: 1 })
  const states: { saved: State | undefined; writes: State[]; failures: (Error | undefined)[] } = {
    saved: undefined,
    writes: [],
    failures: [],
  }
  let count = 0
  const round = ({ backlog }: { backlog: number }) =>
    runRound({
      settings: { stage: 'testing', limits, pod },
      runpod,
      depth: async () => ({ visible: backlog, inFlight: 0 }),
      states: {
        read: async () => states.saved,
        write: async (state, signal) => {
          signal.throwIfAborted()
          const failure = states.failures.shift()
          if (failure) throw failure
          states.saved = state
          states.writes.push(state)
        },
      },
      now: () => now,
      unique: () => String(++count).padStart(8, '0'),
      signal,
    })
  return { fake, runpod, round, states }
}
