import type { State } from './state.ts'

const minuteMs = 60_000
const hourMs = 60 * minuteMs
/** How long a mended cause may go unnoticed: short enough that the alarm, which counts the pods of an hour, stays on until then. */
const longestPauseMs = 10 * minuteMs

type Failures = State['failures']

/**
 * Pods that have failed in a row, `failed` of them now. What ends a row: other settings; a pod that works and was ordered after the
 * last failure; an hour, and the time that a pod has to become ready, without another.
 */
export function failuresOf(
  before: Failures,
  {
    now,
    revision,
    failed,
    working,
    readySeconds,
  }: {
    now: number
    revision: string
    failed: number
    working: readonly { createdAt: number }[]
    readySeconds: number
  },
): Failures {
  const isOver =
    before === undefined ||
    before.revision !== revision ||
    now - before.at >= hourMs + readySeconds * 1_000 ||
    working.some(({ createdAt }) => createdAt >= before.at)
  if (failed > 0) return { revision, pods: failed + (isOver ? 0 : before.pods), at: now }
  return isOver ? undefined : before
}

/**
 * How many of `missing` pods are ordered now, and why not all. One failure is ordinary, and so are as many as pods work: they hold
 * nothing up. After more, one pod is ordered at a time: the first at once, the others in pauses that double up to ten minutes.
 */
export function paced(
  missing: number,
  failures: Failures,
  { now, failed, working, orderedAt }: { now: number; failed: number; working: number; orderedAt: number },
): { create: number; hold?: string } {
  if (!failures || failures.pods <= Math.max(1, working)) return { create: missing }
  const pauseMs = Math.min(longestPauseMs, minuteMs * 2 ** (failures.pods - 1))
  const dueAt = failures.pods === failed ? now : Math.max(failures.at, orderedAt) + pauseMs
  const create = Math.min(missing, Number(now >= dueAt))
  if (create === missing) return { create }
  const minutes = Math.ceil((create ? pauseMs : dueAt - now) / minuteMs)
  return { create, hold: `${failures.pods} pods in a row have failed, the next is ordered in ${minutes} min` }
}
