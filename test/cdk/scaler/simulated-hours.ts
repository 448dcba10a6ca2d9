import { revisionOf, runRound } from '../../../cdk/scaler/round.ts'
import type { Pod, PodOrder, Runpod } from '../../../cdk/scaler/runpod.ts'
import type { Limits } from '../../../cdk/scaler/settings.ts'
import type { State } from '../../../cdk/scaler/state.ts'
import { usual } from './simulated-day.ts'

export const usdPerHour = 0.5
export const image = 'consumer:1'
const start = Date.parse('2026-03-04T00:00:00Z')
const { signal } = new AbortController()

export interface World {
  minute: number
  backlog: number
  limits: Limits
  image: string
  /** What RunPod shows of a pod. */
  look: (pod: Pod, ageSeconds: number) => Partial<Pod>
  /** Pods that RunPod lists. */
  list: (pods: Pod[]) => Pod[]
  /** Instead of making a pod; may throw. */
  order?: (order: PodOrder) => void
}

/** Rounds, one a minute, in a world that a test may change between them. */
export function simulateHours(changes: Partial<Omit<World, 'limits'>> & { limits?: Partial<Limits> } = {}) {
  const pods = new Map<string, Pod>()
  const world: World = {
    minute: 0,
    backlog: 0,
    image,
    look: (_, age) => ({ status: age < usual.start_seconds ? 'STARTING' : 'RUNNING' }),
    list: (all) => all,
    ...changes,
    limits: { ...usual, ...changes.limits },
  }
  const memory: { state?: State } = {}
  let made = 0
  let named = 0
  const now = () => start + world.minute * 60_000

  const runpod: Pick<Runpod, 'list' | 'create' | 'terminate'> = {
    list: async () =>
      world.list([...pods.values()].map((pod) => ({ ...pod, ...world.look(pod, (now() - pod.createdAt) / 1_000) }))),
    async create(order) {
      world.order?.(order)
      const id = `pod${++made}`
      const pod = { id, name: order.name, status: 'PROVISIONING', usdPerHour, createdAt: now() }
      pods.set(id, pod)
      return pod
    },
    async terminate(id) {
      pods.delete(id)
    },
  }

  async function round() {
    const pod = { image: world.image, disk_gb: 20, model_path: '/models', environment: {} }
    const found = await runRound({
      settings: { stage: 'testing', limits: world.limits, pod },
      runpod,
      depth: async () => ({ visible: world.backlog, inFlight: 0 }),
      states: {
        read: async () => memory.state && JSON.parse(JSON.stringify(memory.state)),
        write: async (state) => {
          memory.state = state
        },
      },
      now,
      unique: () => (++named).toString(16).padStart(8, '0'),
      signal,
    })
    world.minute++
    return { ...found, revision: revisionOf(pod) }
  }

  return {
    world,
    pods,
    memory,
    made: () => made,
    round,
    async rounds(count: number) {
      const found = []
      for (let index = 0; index < count; index++) found.push(await round())
      return found
    },
  }
}
