import Type, { type Static } from 'typebox'
import type { Pod } from './runpod.ts'
import { mostPods } from './settings.ts'

/** What one round hands to the next. Times in milliseconds since 1970; an earlier release did not write what is optional. */
export const State = Type.Object({
  countedAt: Type.Number(),
  spentUsd: Type.Number({ description: 'Since midnight UTC, up to countedAt' }),
  tooManySince: Type.Optional(Type.Number({ description: 'There are more pods than are wanted, without a break' })),
  listed: Type.Optional(
    Type.Record(Type.String(), Type.Number(), { description: 'Pods by their keys: the last price of an hour, in USD' }),
  ),
})

export type State = Static<typeof State>

/** So many pods fit in: as many as there may be, and their successors. */
const mostRemembered = 2 * mostPods

/** The part of a pod's name that no other has. */
export function keyOf({ name }: Pick<Pod, 'name'>): string {
  return name.slice(-8)
}

/** Of pods that are there and stay. */
export function pricesOf(pods: readonly Pod[], before: State | undefined): Record<string, number> {
  const prices = pods.map((pod) => [keyOf(pod), Number(priceOf(pod, before).toFixed(3))] as const)
  return Object.fromEntries(prices.slice(0, mostRemembered))
}

/** RunPod says 0 of a pod that has exited, whatever it has cost until then. */
export function priceOf(pod: Pod, before: State | undefined): number {
  return pod.usdPerHour || (before?.listed?.[keyOf(pod)] ?? 0)
}
