import { createHash } from 'node:crypto'
import pLimit from 'p-limit'
import { type Decision, decide, podName } from './decide.ts'
import { type Pod, type PodOrder, type Runpod, RunpodError } from './runpod.ts'
import type { ScalerSettings } from './settings.ts'
import { rounded, type State, type Unlisted } from './state.ts'

export interface Round {
  backlog: number
  decision: Decision
  /** Ids. */
  created: string[]
  removed: string[]
  /** Pods that no GPU was found for, and what RunPod said of the last. */
  withoutCapacity: { pods: number; detail?: string }
  /** What went wrong and is tried again in the next round. */
  faults: string[]
}

/** 400: not to be had in this place now; 403: not by this account; 404: there is no such GPU or volume. */
const unavailable = new Set([400, 403, 404])
/** Pods that RunPod is asked to end at once: one without an answer holds up no other. */
const endingsAtOnce = 16
/** For what has been ordered, whatever time the round has left. */
const lastWriteMs = 3_000

/**
 * Looks, decides and acts once. What cannot be seen or remembered throws, and nothing is done; an action that fails is among
 * `faults` and keeps no other from being tried. Rounds must not overlap.
 */
export async function runRound({
  settings,
  runpod,
  depth,
  states,
  now,
  unique,
  signal,
}: {
  settings: Pick<ScalerSettings, 'stage' | 'limits' | 'pod'>
  runpod: Pick<Runpod, 'list' | 'create' | 'terminate'>
  depth: (signal: AbortSignal) => Promise<{ visible: number; inFlight: number }>
  states: {
    read(signal: AbortSignal): Promise<State | undefined>
    write(state: State, signal: AbortSignal): Promise<void>
  }
  now: () => number
  /** 8 hexadecimal digits, other ones each time; the end of a pod's name. */
  unique: () => string
  signal: AbortSignal
}): Promise<Round> {
  const [{ visible, inFlight }, pods, before] = await Promise.all([
    depth(signal),
    runpod.list(signal),
    states.read(signal),
  ])
  const backlog = visible + inFlight
  if (!Number.isInteger(backlog))
    throw new Error(`SQS counts ${visible} and ${inFlight} messages, which are no numbers`)
  const { stage, limits, pod } = settings
  const revision = revisionOf(pod)
  const at = now()
  const decision = decide({ now: at, backlog, pods }, before, { stage, limits, revision })
  const keys = Array.from({ length: decision.create }, unique)
  // First, so that a round cut off here counts no cost twice and orders no pod that the next one does not know of.
  const unanswered: Unlisted = Object.fromEntries(keys.map((key) => [key, [at, null]]))
  await states.write({ ...decision.state, orders: { ...decision.state.orders, ...unanswered } }, signal)

  const round: Round = { backlog, decision, created: [], removed: [], withoutCapacity: { pods: 0 }, faults: [] }
  if (decision.lost.length) round.faults.push(neverSeen(decision.lost))
  await pLimit(endingsAtOnce).map(decision.remove, async ({ id }) => {
    try {
      await runpod.terminate(id, signal)
      round.removed.push(id)
    } catch (error) {
      round.faults.push(messageOf(error))
    }
  })
  const candidates = candidatesOf(settings)
  const orders: Unlisted = { ...decision.state.orders }
  for (const [count, key] of keys.entries()) {
    if (signal.aborted) break
    try {
      const made = await createFirst(candidates, podName(stage, revision, key))
      if (made === undefined) {
        round.withoutCapacity.pods = decision.create - count
        break
      }
      round.created.push(made.id)
      orders[key] = [at, rounded(made.usdPerHour)]
    } catch (error) {
      // No balance, too many requests or no answer: another one would fare no better.
      round.faults.push(messageOf(error))
      if (!isRefused(error)) orders[key] = [at, null]
      break
    }
  }
  try {
    if (keys.length) await states.write({ ...decision.state, orders }, AbortSignal.timeout(lastWriteMs))
  } catch (error) {
    round.faults.push(messageOf(error))
  }
  return round

  /** Leaves out of `candidates` what is not to be had; undefined when none is left. */
  async function createFirst(candidates: Omit<PodOrder, 'name'>[], name: string): Promise<Pod | undefined> {
    for (let candidate = candidates[0]; candidate; candidate = candidates[0]) {
      try {
        return await runpod.create({ name, ...candidate }, signal)
      } catch (error) {
        if (!(error instanceof RunpodError) || !unavailable.has(error.status ?? 0)) throw error
        candidates.shift()
        // 400 also says that an order breaks a rule: then every candidate fails, and this is how one sees why.
        round.withoutCapacity.detail = error.message
      }
    }
    return undefined
  }
}

/** The same for the same image and settings: a pod that has others is replaced. */
export function revisionOf(pod: ScalerSettings['pod']): string {
  return createHash('sha256').update(JSON.stringify(pod)).digest('hex').slice(0, 8)
}

/** Every GPU in the first place before the next place. */
function candidatesOf({ limits, pod }: Pick<ScalerSettings, 'limits' | 'pod'>): Omit<PodOrder, 'name'>[] {
  return limits.places.flatMap(({ data_center, volume }) =>
    limits.gpus.map((id) => ({
      image: pod.image,
      disk: pod.disk_gb,
      env: pod.environment,
      ports: [],
      ...(pod.registry !== undefined && { registry: pod.registry }),
      cloud: limits.cloud,
      gpu: { id, count: 1, minCudaVersion: limits.min_cuda },
      dataCenterIds: [data_center],
      mounts: { network: [{ volumeId: volume, path: pod.model_path }] },
    })),
  )
}

/** Any other failure may have made a pod. */
function isRefused(error: unknown): boolean {
  return error instanceof RunpodError && error.status !== undefined && error.status < 500
}

function neverSeen(keys: string[]): string {
  const pods = keys.length === 1 ? '1 pod was' : `${keys.length} pods were`
  return `${pods} ordered and never listed, by names that end in ${keys.join(', ')}: look in the RunPod console, under the account of the API key, and end what is there`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
