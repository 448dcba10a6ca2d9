import { createHash } from 'node:crypto'
import { type Decision, decide, podName } from './decide.ts'
import { type PodOrder, type Runpod, RunpodError } from './runpod.ts'
import type { ScalerSettings } from './settings.ts'
import type { State } from './state.ts'

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

/** 400: not to be had in this place now; 403: not by this account. */
const unavailable = new Set([400, 403])

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
  /** 8 hexadecimal digits, other ones each time. */
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
  const decision = decide({ now: now(), backlog, pods }, before, { stage, limits, revision })
  // First, so that a round cut off here counts no cost twice.
  await states.write(decision.state, signal)

  const round: Round = { backlog, decision, created: [], removed: [], withoutCapacity: { pods: 0 }, faults: [] }
  for (const { id } of decision.remove) {
    try {
      await runpod.terminate(id, signal)
      round.removed.push(id)
    } catch (error) {
      round.faults.push(messageOf(error))
    }
  }
  const candidates = candidatesOf(settings)
  for (let count = 0; count < decision.create; count++) {
    try {
      const id = await createFirst(candidates, podName(stage, revision, unique()))
      if (id === undefined) {
        round.withoutCapacity.pods = decision.create - count
        break
      }
      round.created.push(id)
    } catch (error) {
      // No balance, too many requests or no answer: another one would fare no better.
      round.faults.push(messageOf(error))
      break
    }
  }
  return round

  /** Leaves out of `candidates` what is not to be had; undefined when none is left. */
  async function createFirst(candidates: Omit<PodOrder, 'name'>[], name: string): Promise<string | undefined> {
    for (let candidate = candidates[0]; candidate; candidate = candidates[0]) {
      try {
        return (await runpod.create({ name, ...candidate }, signal)).id
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

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
