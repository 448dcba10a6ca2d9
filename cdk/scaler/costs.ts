import type { Pod } from './runpod.ts'
import { awayFrom, keyOf, priceOf, type State } from './state.ts'

const hourMs = 3_600_000
const dayMs = 24 * hourMs

/**
 * USD since midnight UTC: what each pod costs from one round to the next, by the price that RunPod names or has named last. One
 * that has exited or is gone since the last round is charged until now, which is later than its end, and for the minutes between
 * when it is back while it is remembered; one that was ordered and is not seen, as long as it is waited for; one that the last
 * round has removed, no more unless it is still there.
 */
export function spentToday(before: State | undefined, pods: readonly Pod[], now: number): number {
  const midnight = Math.floor(now / dayMs) * dayMs
  const since = Math.max(before?.countedAt ?? midnight, midnight)
  const spent = before && before.countedAt >= midnight ? before.spentUsd : 0

  const there = pods.map((pod) => ({
    usdPerHour: priceOf(pod, before),
    from: Math.max(chargedUntil(pod), pod.createdAt),
  }))
  const gone = awayFrom(pods, before?.listed).map(([, known]) => ({ usdPerHour: known?.[0] ?? 0, from: since }))
  const awaited = awayFrom(pods, before?.orders).map(([, [, price]]) => ({ usdPerHour: price ?? 0, from: since }))
  return [...there, ...gone, ...awaited].reduce(
    (sum, { usdPerHour, from }) => sum + (usdPerHour * Math.max(0, now - from)) / hourMs,
    spent,
  )

  function chargedUntil(pod: Pod): number {
    const order = before?.orders?.[keyOf(pod)]
    const missing = before?.missing?.[keyOf(pod)]
    if (missing) return Math.max(midnight, missing[0])
    return order && !order[1] ? midnight : since
  }
}
