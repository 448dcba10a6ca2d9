import { spentToday } from './costs.ts'
import { failuresOf, paced } from './failures.ts'
import type { Pod } from './runpod.ts'
import type { Limits } from './settings.ts'
import { hasWorked, isKnownToFail, listedOf, type State, unlistedOf, works } from './state.ts'
import { isRunning, wantedFor } from './wanted.ts'

interface Sight {
  now: number
  /** Messages waiting and in work. */
  backlog: number
  pods: readonly Pod[]
}

interface Removal {
  id: string
  reason: string
}

export interface Decision {
  wanted: number
  /** Why so many are wanted. */
  reason: string
  create: number
  remove: Removal[]
  /** Pods of ours: all, and those that work. */
  pods: { all: number; running: number }
  isCapReached: boolean
  /** Pods that are found failed for the first time. */
  failed: number
  /** The keys of pods that were ordered and never seen, and are no longer waited for. */
  lost: string[]
  /** Without the pods that are now to be created. */
  state: State
}

/** How many pods there should be, and what makes it so. Looks at nothing but its arguments, and at no pod but its stage's. */
export function decide(
  { now, backlog, pods }: Sight,
  before: State | undefined,
  { stage, revision, limits }: { stage: string; revision: string; limits: Limits },
): Decision {
  const named = pods.filter(({ name }) => isOurs(name, stage))
  const ours = named.filter(({ status }) => status !== 'TERMINATED')
  const { orders, missing, lost, lostPods } = unlistedOf(before, named, now)
  const spentUsd = spentToday(before, ours, now)
  const isCapReached = spentUsd >= limits.daily_usd

  const faulty = ours.filter((pod) => faultOf(pod, now, limits) !== undefined)
  const sound = ours.filter((pod) => !faulty.includes(pod))
  const isCurrent = ({ name }: Pod) => name.startsWith(podName(stage, revision, ''))
  const current = sound.filter(isCurrent)
  const running = current.filter(isRunning).length
  // One that takes much longer than others is not waited for, though it may still come.
  const timely = current.filter((pod) => isRunning(pod) || now - pod.createdAt <= 2_000 * limits.start_seconds)
  const expected = [...timely, ...Object.values(orders).map(([createdAt]) => ({ status: 'ORDERED', createdAt }))]
  const { wanted, reason } = isCapReached
    ? { wanted: 0, reason: `$${spentUsd.toFixed(2)} spent today, of $${limits.daily_usd}: no pods until midnight UTC` }
    : wantedFor({ backlog, pods: expected, now }, limits)
  // They work until their successors do.
  const replaced = sound.filter((pod) => !isCurrent(pod) && (running >= wanted || isCapReached))

  const tooManySince = current.length > wanted ? (before?.tooManySince ?? now) : undefined
  const isCool = tooManySince !== undefined && now - tooManySince >= limits.cool_down_seconds * 1_000
  const surplus =
    isCool || isCapReached ? current.toSorted(firstToGo).slice(0, Math.max(0, current.length - wanted)) : []

  const failed = faulty.filter((pod) => !isKnownToFail(pod, before))
  const working = current.filter((pod) => works(pod, before))
  // One that has worked says nothing about the next.
  const failedInRow = failed.filter((pod) => isCurrent(pod) && !hasWorked(pod, before)).length + lostPods
  const failures = failuresOf(before?.failures, {
    now,
    revision,
    failed: failedInRow,
    working,
    readySeconds: limits.ready_seconds,
  })
  const unlisted = Object.keys(orders).length + Object.keys(missing).length
  const { create, hold } = paced(
    Math.max(0, Math.min(wanted - expected.length, limits.max_pods - current.length - unlisted)),
    failures,
    {
      now,
      failed: failedInRow,
      working: working.length,
      orderedAt: Math.max(0, ...[...current, ...expected].map((pod) => pod.createdAt)),
    },
  )
  const going = new Set([...replaced, ...surplus])
  return {
    wanted,
    reason: hold ? `${reason}; ${hold}` : reason,
    create,
    remove: [
      ...faulty.map((pod) => ({ id: pod.id, reason: `it is ${faultOf(pod, now, limits)}` })),
      ...replaced.map(({ id }) => ({ id, reason: `it was ordered with other settings than ${revision}` })),
      ...surplus.map(({ id }) => ({
        id,
        reason: isCapReached ? reason : `too many for ${limits.cool_down_seconds} s: ${reason}`,
      })),
    ],
    pods: { all: ours.length, running: sound.filter(isRunning).length },
    failed: failed.length + lostPods,
    lost,
    isCapReached,
    state: {
      countedAt: now,
      spentUsd,
      ...(tooManySince !== undefined && surplus.length === 0 && { tooManySince }),
      ...(failures && { failures }),
      orders,
      missing,
      listed: listedOf({ failed: faulty, staying: sound.filter((pod) => !going.has(pod)) }, before, unlisted + create),
    },
  }
}

/** As names are made by `podName`: another stage's, or a pod made by hand, is never touched. */
export function isOurs(name: string, stage: string): boolean {
  return new RegExp(`^promenade-${stage}-[0-9a-f]{8}-[0-9a-f]{8}$`).test(name)
}

/** `revision`: of the settings that pods are ordered with; `unique`: the pod's own. Both 8 hexadecimal digits. */
export function podName(stage: string, revision: string, unique: string): string {
  return `promenade-${stage}-${revision}-${unique}`
}

function faultOf({ status, createdAt }: Pod, now: number, { ready_seconds }: Limits): string | undefined {
  if (status === 'EXITED' || status === 'ERROR') return `${status} and will not work again`
  if (status !== 'RUNNING' && now - createdAt > ready_seconds * 1_000) return `${status} after ${ready_seconds} s`
  return undefined
}

/** Those that do not work yet, then the dearest, then the newest. */
function firstToGo(a: Pod, b: Pod): number {
  return Number(isRunning(a)) - Number(isRunning(b)) || b.usdPerHour - a.usdPerHour || b.createdAt - a.createdAt
}
