import { spentToday } from './costs.ts'
import type { Pod } from './runpod.ts'
import type { Limits } from './settings.ts'
import { pricesOf, type State, unlistedOf } from './state.ts'

export interface Sight {
  now: number
  /** Messages waiting and in work. */
  backlog: number
  pods: readonly Pod[]
}

export interface Removal {
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
  /** Keys of pods that were ordered and never seen, and are no longer waited for. */
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
  const { orders, missing, lost } = unlistedOf(before, named, now)
  const spentUsd = spentToday(before, ours, now)
  const isCapReached = spentUsd >= limits.daily_usd

  const faulty = ours.flatMap((pod) => {
    const fault = faultOf(pod, now, limits)
    return fault ? [{ id: pod.id, reason: fault }] : []
  })
  const sound = ours.filter(({ id }) => !faulty.some((removal) => removal.id === id))
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
  const remove = [
    ...faulty,
    ...replaced.map(({ id }) => ({ id, reason: `it was ordered with other settings than ${revision}` })),
    ...surplus.map(({ id }) => ({
      id,
      reason: isCapReached ? reason : `too many for ${limits.cool_down_seconds} s: ${reason}`,
    })),
  ]
  const unlisted = Object.keys(orders).length + Object.keys(missing).length
  const create = Math.max(0, Math.min(wanted - expected.length, limits.max_pods - current.length - unlisted))
  return {
    wanted,
    reason,
    create,
    remove,
    pods: { all: ours.length, running: sound.filter(isRunning).length },
    isCapReached,
    lost,
    state: {
      countedAt: now,
      spentUsd,
      ...(tooManySince !== undefined && surplus.length === 0 && { tooManySince }),
      listed: pricesOf(
        ours.filter(({ id }) => !remove.some((removal) => removal.id === id)),
        before,
        unlisted + create,
      ),
      orders,
      missing,
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

type Progress = Pick<Pod, 'status' | 'createdAt'>

/** Counts the seconds that each pod has for the work within the target: fewer while it starts, fewer still if it is yet to come. */
function wantedFor(
  { backlog, pods, now }: { backlog: number; pods: readonly Progress[]; now: number },
  limits: Limits,
): { wanted: number; reason: string } {
  const { seconds_per_picture, start_seconds, target_seconds, min_pods, max_pods } = limits
  const work = backlog * seconds_per_picture
  const startsIn = (pod: Progress) => (isRunning(pod) ? 0 : Math.max(0, start_seconds - (now - pod.createdAt) / 1_000))
  const available = pods.reduce((sum, pod) => sum + target_seconds - startsIn(pod), 0)
  const needed =
    work <= available
      ? Math.ceil(work / target_seconds)
      : pods.length + Math.ceil((work - available) / (target_seconds - start_seconds))
  const wanted = Math.min(max_pods, Math.max(min_pods, needed))
  const bound = wanted < needed ? `, at most ${max_pods} allowed` : wanted > needed ? `, at least ${min_pods} kept` : ''
  return { wanted, reason: `${backlog} in the queue take ${needed} pods to be done in ${target_seconds} s${bound}` }
}

function faultOf({ status, createdAt }: Pod, now: number, { ready_seconds }: Limits): string | undefined {
  if (status === 'EXITED' || status === 'ERROR') return `it is ${status} and will not work again`
  if (status !== 'RUNNING' && now - createdAt > ready_seconds * 1_000) return `it is ${status} after ${ready_seconds} s`
  return undefined
}

function isRunning({ status }: Pick<Pod, 'status'>): boolean {
  return status === 'RUNNING'
}

/** Those that do not work yet, then the dearest, then the newest. */
function firstToGo(a: Pod, b: Pod): number {
  return Number(isRunning(a)) - Number(isRunning(b)) || b.usdPerHour - a.usdPerHour || b.createdAt - a.createdAt
}
