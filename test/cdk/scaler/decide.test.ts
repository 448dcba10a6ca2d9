import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decide, isOurs } from '../../../cdk/scaler/decide.ts'
import type { Pod } from '../../../cdk/scaler/runpod.ts'
import type { Limits } from '../../../cdk/scaler/settings.ts'
import type { State } from '../../../cdk/scaler/state.ts'

const now = Date.parse('2026-03-04T12:00:00Z')
const minute = 60_000
const revision = '2222aaaa'
const old = { name: 'promenade-testing-1111aaaa-00000001' }
const limits: Limits = {
  min_pods: 0,
  max_pods: 3,
  seconds_per_picture: 3,
  start_seconds: 150,
  target_seconds: 450,
  cool_down_seconds: 600,
  ready_seconds: 900,
  daily_usd: 10,
  cloud: 'SECURE',
  gpus: ['a GPU'],
  min_cuda: '12.8',
  places: [{ data_center: 'a place', volume: 'a volume' }],
}

function pod(number: number, changes: Partial<Pod> = {}): Pod {
  const name = `promenade-testing-${revision}-0000000${number}`
  return {
    id: `pod${number}`,
    name,
    status: 'RUNNING',
    usdPerHour: 0.5,
    createdAt: now - 60 * minute,
    ...changes,
  }
}

function decideOn(
  sight: { backlog?: number; pods?: Pod[]; now?: number },
  { before, ...changes }: Partial<Limits> & { before?: State } = {},
) {
  const given = { now, backlog: 0, pods: [], ...sight }
  return decide(given, before ?? { countedAt: given.now, spentUsd: 0 }, {
    stage: 'testing',
    revision,
    limits: { ...limits, ...changes },
  })
}

const idsOf = ({ remove }: { remove: { id: string }[] }) => remove.map(({ id }) => id)

test('a pod for each backlog that one clears within the target, between least and most', () => {
  // A pod yet to come makes 100 pictures in the 300 s that are left of the target when it has started.
  for (const [backlog, create] of [
    [0, 0],
    [1, 1],
    [100, 1],
    [101, 2],
    [300, 3],
    [10_000, 3],
  ] as const) {
    assert.equal(decideOn({ backlog }).create, create, `${backlog} pictures`)
  }
  assert.equal(decideOn({ backlog: 0 }, { min_pods: 1 }).create, 1)
  assert.match(decideOn({ backlog: 10_000 }).reason, /10000 in the queue take 100 pods .* at most 3 allowed/)
  assert.match(decideOn({ backlog: 0 }, { min_pods: 1 }).reason, /at least 1 kept/)
})

test('pods that are on their way count: no more are made for the same backlog', () => {
  const pods = [pod(1, { status: 'PROVISIONING', createdAt: now }), pod(2, { status: 'STARTING', createdAt: now })]
  const { create, remove } = decideOn({ backlog: 200, pods })
  assert.deepEqual([create, remove], [0, []])
})

test('where the clock of RunPod is ahead of ours, a pod counts as one that has just been ordered', () => {
  const pods = [1, 2].map((number) => pod(number, { status: 'STARTING', createdAt: now + 10 * minute }))
  const { wanted, create } = decideOn({ backlog: 0, pods })
  assert.deepEqual([wanted, create], [0, 0])
})

test('a pod goes when there were too many for the whole cool-down', () => {
  const pods = [pod(1), pod(2)]
  const first = decideOn({ backlog: 100, pods })
  assert.deepEqual(first.remove, [])
  assert.equal(first.state.tooManySince, now)

  const soon = decideOn({ backlog: 100, pods, now: now + 9 * minute }, { before: first.state })
  assert.deepEqual(soon.remove, [])
  assert.equal(soon.state.tooManySince, now)

  const busy = decideOn({ backlog: 200, pods, now: now + 9 * minute }, { before: first.state })
  assert.equal(busy.state.tooManySince, undefined, 'work that came begins the cool-down anew')

  const late = decideOn({ backlog: 100, pods, now: now + 10 * minute }, { before: soon.state })
  assert.deepEqual(idsOf(late), ['pod1'])
  assert.equal(late.state.tooManySince, undefined)

  const idle = decideOn({ backlog: 0, pods, now: now + 10 * minute }, { before: soon.state })
  assert.deepEqual(idsOf(idle), ['pod1', 'pod2'])
})

test('what does not work goes before what does, the dear before the cheap', () => {
  const before = { countedAt: now, spentUsd: 0, tooManySince: now - 10 * minute }
  const pods = [pod(1), pod(2, { usdPerHour: 0.9 }), pod(3, { status: 'STARTING', createdAt: now })]
  assert.deepEqual(idsOf(decideOn({ backlog: 1, pods }, { before })), ['pod3', 'pod2'])
})

test('a pod that never became ready, has stopped or has failed goes at once, and another is made', () => {
  const late = { status: 'STARTING', createdAt: now - 16 * minute }
  const pods = [pod(1, late), pod(2, { status: 'EXITED', usdPerHour: 0 }), pod(3, { status: 'ERROR' })]
  const { remove, create } = decideOn({ backlog: 1, pods })
  assert.deepEqual(remove, [
    { id: 'pod1', reason: 'it is STARTING after 900 s' },
    { id: 'pod2', reason: 'it is EXITED and will not work again' },
    { id: 'pod3', reason: 'it is ERROR and will not work again' },
  ])
  assert.equal(create, 1)
  assert.deepEqual(decideOn({ backlog: 1, pods: [pod(1, { ...late, createdAt: now - 15 * minute })] }).remove, [])
})

test('pods of an earlier image, or other settings, work until their successors do', () => {
  const earlier = pod(1, old)
  const made = decideOn({ backlog: 1, pods: [earlier] })
  assert.deepEqual([made.create, made.remove], [1, []])
  const starting = decideOn({ backlog: 1, pods: [earlier, pod(2, { status: 'STARTING', createdAt: now })] })
  assert.deepEqual([starting.create, starting.remove], [0, []])
  const running = decideOn({ backlog: 1, pods: [earlier, pod(2)] })
  assert.deepEqual(running.remove, [{ id: 'pod1', reason: 'it was ordered with other settings than 2222aaaa' }])
  assert.deepEqual(idsOf(decideOn({ backlog: 0, pods: [earlier] })), ['pod1'])
})

test('pods of other stages, and of people, are neither counted nor touched', () => {
  const names = [
    'promenade-production-2222aaaa-00000001',
    'promenade-testing-by-hand',
    'my-pod',
    'promenade-testing-00000001',
  ]
  for (const name of names) assert.equal(isOurs(name, 'testing'), false, name)
  const pods = names.map((name, index) => pod(index, { name, status: 'ERROR', usdPerHour: 100 }))
  const { remove, create, state } = decideOn(
    { backlog: 1, pods },
    { before: { countedAt: now - 60 * minute, spentUsd: 0 } },
  )
  assert.deepEqual([remove, create, state.spentUsd], [[], 1, 0])
})

test('costs are counted from round to round, and from midnight UTC anew', () => {
  const before = { countedAt: now - 30 * minute, spentUsd: 1 }
  const young = pod(2, { usdPerHour: 1, createdAt: now - 15 * minute })
  assert.equal(decideOn({ backlog: 1, pods: [pod(1), young] }, { before }).state.spentUsd, 1 + 0.25 + 0.25)

  const midnight = Date.parse('2026-03-05T00:00:00Z')
  const late = { countedAt: midnight - 30 * minute, spentUsd: 9 }
  const next = decideOn({ backlog: 1, pods: [pod(1)], now: midnight + 30 * minute }, { before: late })
  assert.equal(next.state.spentUsd, 0.25)
})

test('a pod that has exited or is gone is charged until now at its last price, and then no more', () => {
  const pods = [pod(1), pod(2, { usdPerHour: 1 }), pod(3, { createdAt: now - 30_000 })]
  const first = decideOn({ backlog: 10_000, pods })
  const exited = pod(1, { status: 'EXITED', usdPerHour: 0 })
  const young = pod(3, { createdAt: now - 30_000, status: 'TERMINATED', usdPerHour: 0 })
  const second = decideOn({ backlog: 10_000, pods: [exited, young], now: now + minute }, { before: first.state })
  assert.equal(second.state.spentUsd.toFixed(6), ((0.5 + 1 + 0.5) / 60).toFixed(6))
  const third = decideOn({ backlog: 10_000, pods: [exited], now: now + 2 * minute }, { before: second.state })
  assert.equal(third.state.spentUsd, second.state.spentUsd, 'also when it could not be removed')
})

test('a pod that a round has removed is charged no further, unless it is still there', () => {
  const pods = [pod(1), pod(2)]
  const first = decideOn({ pods }, { cool_down_seconds: 0 })
  assert.deepEqual(idsOf(first), ['pod1', 'pod2'])
  const second = decideOn({ pods: [pod(2)], now: now + 60 * minute }, { before: first.state })
  assert.equal(second.state.spentUsd, 0.5)
})

test('a pod that costs nothing for a round is charged at its last price', () => {
  const first = decideOn({ backlog: 100, pods: [pod(1)] })
  const free = decideOn(
    { backlog: 100, pods: [pod(1, { usdPerHour: 0 })], now: now + 30 * minute },
    { before: first.state },
  )
  assert.equal(free.state.spentUsd, 0.25)
  const gone = decideOn({ backlog: 100, now: now + 60 * minute }, { before: free.state })
  assert.equal(gone.state.spentUsd, 0.5)
})

test('the costs of a pod that is gone begin anew at midnight UTC too', () => {
  const midnight = Date.parse('2026-03-05T00:00:00Z')
  const first = decideOn({ backlog: 100, pods: [pod(1)], now: midnight - 30 * minute })
  const next = decideOn({ backlog: 100, now: midnight + 30 * minute }, { before: first.state })
  assert.equal(next.state.spentUsd, 0.25)

  const gone = decideOn({ backlog: 100, now: midnight - minute }, { before: first.state })
  const sight = { backlog: 100, pods: [pod(1)], now: midnight + 6 * minute }
  assert.equal(decideOn(sight, { before: gone.state }).state.spentUsd.toFixed(6), (0.5 / 10).toFixed(6), 'it is back')
})

test('without a state, all that runs is taken to have cost since midnight', () => {
  const sight = { now, backlog: 1, pods: [pod(1, { createdAt: now - 24 * 60 * minute })] }
  assert.equal(decide(sight, undefined, { stage: 'testing', revision, limits }).state.spentUsd, 12 * 0.5)
})

test('at the daily cap every pod goes, kept ones too, until midnight UTC', () => {
  const before = { countedAt: now - 60 * minute, spentUsd: 9.5 }
  const pods = [pod(1), pod(2, { ...old, usdPerHour: 0 })]
  const capped = decideOn({ backlog: 500, pods }, { before, min_pods: 1 })
  assert.deepEqual([capped.wanted, capped.create, capped.isCapReached], [0, 0, true])
  assert.deepEqual(idsOf(capped).sort(), ['pod1', 'pod2'])
  assert.match(capped.reason, /\$10\.00 spent today, of \$10: no pods until midnight UTC/)
  const tomorrow = Date.parse('2026-03-05T00:01:00Z')
  assert.equal(decideOn({ backlog: 500, now: tomorrow }, { before: capped.state }).create, 3)
})
