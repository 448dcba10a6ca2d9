import Type, { type Static } from 'typebox'
import type { Pod } from './runpod.ts'
import { mostPods } from './settings.ts'
import { isRunning } from './wanted.ts'

const minuteMs = 60_000
/** How long a list of RunPod's may be behind. */
const seenWithinMs = 10 * minuteMs
/** An order without an answer has mostly made no pod, and is not waited for as long. */
const unansweredMs = 3 * minuteMs
/** A pod works when so many lists in a row had it RUNNING: a container that cannot work is shown so until RunPod sees its end. */
const steadyRounds = 5
/** As many as there may be, and their successors: so many fit in. Of more, what is gone is not charged for its last minute. */
const mostRemembered = 2 * mostPods

/** By the pods' keys: since when, and the last price of an hour in USD, null while it is not known. */
const Unlisted = Type.Record(Type.String(), Type.Tuple([Type.Number(), Type.Union([Type.Number(), Type.Null()])]))

/** What one round hands to the next. Times in milliseconds since 1970; an earlier release did not write what is optional. */
export const State = Type.Object({
  countedAt: Type.Number(),
  spentUsd: Type.Number({ description: 'Since midnight UTC, up to countedAt' }),
  tooManySince: Type.Optional(Type.Number({ description: 'There are more pods than are wanted, without a break' })),
  /** By the pods' keys: the last price of an hour in USD, and how many lists in a row had it RUNNING; null: it has failed. */
  listed: Type.Optional(
    Type.Record(Type.String(), Type.Union([Type.Tuple([Type.Number(), Type.Number()]), Type.Null()])),
  ),
  /** Not seen since they were ordered. */
  orders: Type.Optional(Unlisted),
  /** Not seen since they were listed, and not removed by us. */
  missing: Type.Optional(Unlisted),
  /** In a row, of pods of one revision; `at`: the last. */
  failures: Type.Optional(Type.Object({ revision: Type.String(), pods: Type.Number(), at: Type.Number() })),
})

export type State = Static<typeof State>
export type Unlisted = Static<typeof Unlisted>
type Listed = [string, NonNullable<State['listed']>[string]]

/** The part of a pod's name that no other has. */
export function keyOf({ name }: Pick<Pod, 'name'>): string {
  return name.slice(-8)
}

/** RunPod says 0 of a pod that has exited, whatever it has cost until then. */
export function priceOf(pod: Pod, before: State | undefined): number {
  const key = keyOf(pod)
  return (
    pod.usdPerHour || (before?.listed?.[key]?.[0] ?? before?.orders?.[key]?.[1] ?? before?.missing?.[key]?.[1] ?? 0)
  )
}

/** Of what is known by keys, what is not among `pods`. */
export function awayFrom<T>(pods: readonly Pod[], known: Record<string, T> = {}): [string, T][] {
  const keys = new Set(pods.map(keyOf))
  return Object.entries(known).filter(([key]) => !keys.has(key))
}

/**
 * What is not in the list `pods` and may still be there or come; `lost`: the keys of orders that are no
 * longer waited for, `lostPods`: how many of them RunPod had answered, and so has made.
 */
export function unlistedOf(
  before: State | undefined,
  pods: readonly Pod[],
  now: number,
): { orders: Unlisted; missing: Unlisted; lost: string[]; lostPods: number } {
  const orders = awayFrom(pods, before?.orders)
  const awaited = orders.filter(([, [at, price]]) => now - at < (price === null ? unansweredMs : seenWithinMs))
  const lost = orders.filter((order) => !awaited.includes(order))
  const gone = awayFrom(pods, before?.listed).flatMap(([key, known]): [string, Unlisted[string]][] =>
    known ? [[key, [now, known[0]]]] : [],
  )
  const missing = [...gone, ...awayFrom(pods, before?.missing).filter(([, [since]]) => now - since < seenWithinMs)]
  return {
    orders: Object.fromEntries(awaited),
    missing: Object.fromEntries(missing.slice(0, mostPods - awaited.length)),
    lost: lost.map(([key]) => key),
    lostPods: lost.filter(([, [, price]]) => price !== null).length,
  }
}

/** Of pods that have failed, or are there and stay; `others`: how many more are remembered. */
export function listedOf(
  { failed, staying }: { failed: readonly Pod[]; staying: readonly Pod[] },
  before: State | undefined,
  others: number,
): NonNullable<State['listed']> {
  const listed = [
    ...staying.map((pod): Listed => [keyOf(pod), [rounded(priceOf(pod, before)), roundsOf(pod, before)]]),
    ...failed.map((pod): Listed => [keyOf(pod), null]),
  ]
  return Object.fromEntries(listed.slice(0, mostRemembered - others))
}

export function works(pod: Pod, before: State | undefined): boolean {
  return roundsOf(pod, before) >= steadyRounds
}

export function hasWorked(pod: Pod, before: State | undefined): boolean {
  return (before?.listed?.[keyOf(pod)]?.[1] ?? 0) >= steadyRounds
}

export function isKnownToFail(pod: Pod, before: State | undefined): boolean {
  return before?.listed?.[keyOf(pod)] === null
}

function roundsOf(pod: Pod, before: State | undefined): number {
  const rounds = before?.listed?.[keyOf(pod)]?.[1] ?? 0
  return isRunning(pod) ? Math.min(steadyRounds, rounds + 1) : 0
}

/** Short enough for the state. */
export function rounded(usdPerHour: number): number {
  return Number(usdPerHour.toFixed(3))
}
