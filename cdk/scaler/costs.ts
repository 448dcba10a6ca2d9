import type { Pod } from './runpod.ts'
import { keyOf, priceOf, type State } from './state.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/**
 * USD since midnight UTC: what each pod costs from one round to the next, by the price that RunPod names or has named last. One
 * that has exited or is gone since the last round is charged until now, which is later than its end; one that the last round has
 * removed, no more unless it is still there.
 */
export function spentToday(before: State | undefined, pods: readonly Pod[], now: number): number {
  const midnight = Math.floor(now / dayMs) * dayMs
  const since = Math.max(before?.countedAt ?? midnight, midnight)
  const spent = before && before.countedAt >= midnight ? before.spentUsd : 0
  const there = pods.map((pod) => ({ usdPerHour: priceOf(pod, before), from: Math.max(since, pod.createdAt) }))
  const keys = new Set(pods.map(keyOf))
  const gone = Object.entries(before?.listed ?? {})
    .filter(([key]) => !keys.has(key))
    .map(([, usdPerHour]) => ({ usdPerHour, from: since }))
  return [...there, ...gone].reduce(
    (sum, { usdPerHour, from }) => sum + (usdPerHour * Math.max(0, now - from)) / hourMs,
    spent,
  )
}
