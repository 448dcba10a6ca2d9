import { podName } from '../../../cdk/scaler/decide.ts'
import { revisionOf, runRound } from '../../../cdk/scaler/round.ts'
import { type Pod, type PodOrder, RunpodError } from '../../../cdk/scaler/runpod.ts'
import type { Limits } from '../../../cdk/scaler/settings.ts'
import type { State } from '../../../cdk/scaler/state.ts'
import { createUniform } from '../../../services/consumer/musicgen/random.ts'

const order = { image: 'consumer:1', disk_gb: 20, model_path: '/models', environment: {} }
const daySeconds = 86_400
const roundSeconds = 60
/** Pictures in an hour, from midnight: quiet nights, and a day that is busiest in the evening. */
const hourly = [10, 6, 4, 2, 2, 4, 10, 30, 60, 90, 120, 150, 200, 180, 150, 150, 180, 220, 300, 380, 400, 300, 150, 50]
/** Seconds after midnight, and how many pictures come within the minute: an app is shown on television. */
const bursts = new Map([
  [3 * 3600, 300],
  [15 * 3600, 1000],
])

export const usual: Limits = {
  min_pods: 0,
  max_pods: 12,
  seconds_per_picture: 3,
  start_seconds: 210,
  target_seconds: 450,
  cool_down_seconds: 600,
  ready_seconds: 900,
  daily_usd: 50,
  cloud: 'SECURE',
  gpus: ['a', 'b'],
  min_cuda: '12.8',
  places: [{ data_center: 'here', volume: 'v' }],
}

export interface Day {
  pictures: number
  left: number
  usd: number
  /** By the scaler, up to its last round. */
  countedUsd: number
  /** Seconds from upload to music: the median, 95 of 100, the longest. */
  seconds: { median: number; p95: number; max: number }
  /** Of each burst, from its first picture until the queue is as short as before. */
  burstSeconds: number[]
  mostPods: number
  created: number
  mostFailedInAnHour: number
}

export interface Market {
  usdPerHour: number
  /** From order to work. */
  startSeconds: number
  /** Of orders, how many find no GPU, and of pods, how many never start or exit at once; 0 to 1. */
  soldOut: number
  stuck: number
  exits: number
}

export const market: Market = { usdPerHour: 0.5, startSeconds: 150, soldOut: 0.2, stuck: 0.05, exits: 0 }
/** Until a pod that exits at once has done so. */
const exitSeconds = 20

/** A day of pictures, second by second, with the scaler's own rounds or with `alwaysOn` pods that never change. */
export async function simulateDay({
  seed,
  limits = usual,
  exits = market.exits,
  alwaysOn,
}: {
  seed: number
  limits?: Limits
  exits?: number
  alwaysOn?: number
}): Promise<Day> {
  const draw = { arrivals: createUniform(seed), market: createUniform(seed + 1) }
  const cloud = createCloud(draw.market, { ...market, exits })
  if (alwaysOn) for (let count = 0; count < alwaysOn; count++) cloud.add({ readyAt: 0 })
  const waiting: number[] = []
  const latencies: number[] = []
  const openBursts: { since: number; length: number }[] = []
  const burstSeconds: number[] = []
  const failed: number[] = []
  let pictures = 0
  let mostPods = 0
  let state: State | undefined
  let credit = 0

  for (let second = 0; second < daySeconds; second++) {
    cloud.tick(second)
    if (bursts.has(second)) openBursts.push({ since: second, length: waiting.length })
    for (let count = arrivalsAt(second, draw.arrivals); count > 0; count--) {
      waiting.push(second)
      pictures++
    }
    credit = Math.min(cloud.running(), credit + cloud.running() / limits.seconds_per_picture)
    for (; credit >= 1 && waiting.length; credit--) latencies.push(second - waiting.shift()!)
    for (const burst of openBursts.filter(
      ({ since, length }) => second > since + roundSeconds && waiting.length <= length,
    )) {
      burstSeconds.push(second - burst.since)
      openBursts.splice(openBursts.indexOf(burst), 1)
    }
    if (!alwaysOn && second % roundSeconds === 0) {
      const { decision } = await runRound({
        settings: { stage: 'testing', limits, pod: order },
        runpod: cloud,
        depth: async () => ({ visible: waiting.length, inFlight: 0 }),
        states: {
          read: async () => state,
          write: async (next) => {
            state = next
          },
        },
        now: () => second * 1_000,
        unique: () => cloud.nextUnique(),
        signal,
      })
      failed.push(decision.failed)
    }
    mostPods = Math.max(mostPods, cloud.count())
  }
  latencies.sort((a, b) => a - b)
  const at = (share: number) => latencies[Math.floor((latencies.length - 1) * share)] ?? Number.NaN
  return {
    pictures,
    left: waiting.length,
    usd: cloud.usd(),
    countedUsd: state?.spentUsd ?? 0,
    seconds: { median: at(0.5), p95: at(0.95), max: at(1) },
    burstSeconds,
    mostPods,
    created: cloud.made(),
    mostFailedInAnHour: Math.max(
      0,
      ...failed.map((_, minute) => sumOf(failed.slice(Math.max(0, minute - 59), minute + 1))),
    ),
  }
}

const { signal } = new AbortController()

/** Who knows the day beforehand, and has pods that start at once, pays for the work alone. */
export function oracleUsd(pictures: number): number {
  return (pictures * usual.seconds_per_picture * market.usdPerHour) / 3_600
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}

function arrivalsAt(second: number, uniform: () => number): number {
  const burst = [...bursts].find(([start]) => second >= start && second < start + 60)
  const perSecond = hourly[Math.floor(second / 3_600)]! / 3_600 + (burst ? burst[1] / 60 : 0)
  // Poisson, by Knuth's product of uniform numbers.
  const limit = Math.exp(-perSecond)
  let count = 0
  for (let product = uniform(); product > limit; product *= uniform()) count++
  return count
}

function createCloud(uniform: () => number, market: Market) {
  const pods = new Map<string, Pod & { readyAt: number; exitsAt: number }>()
  let made = 0
  let named = 0
  let second = 0
  let usd = 0

  function add({
    readyAt,
    exitsAt = Number.POSITIVE_INFINITY,
    name = podName('testing', revisionOf(order), nextUnique()),
  }: {
    readyAt: number
    exitsAt?: number
    name?: string
  }): Pod {
    const id = `pod${++made}`
    const pod = {
      id,
      name,
      status: 'STARTING',
      usdPerHour: market.usdPerHour,
      createdAt: second * 1_000,
      readyAt,
      exitsAt,
    }
    pods.set(id, pod)
    return pod
  }
  const nextUnique = () => (++named).toString(16).padStart(8, '0')

  return {
    add,
    nextUnique,
    tick(now: number): void {
      second = now
      for (const pod of pods.values()) {
        usd += pod.usdPerHour / 3_600
        if (now >= pod.exitsAt) Object.assign(pod, { status: 'EXITED', usdPerHour: 0 })
        else if (now >= pod.readyAt) pod.status = 'RUNNING'
      }
    },
    running: () => [...pods.values()].filter(({ status }) => status === 'RUNNING').length,
    count: () => pods.size,
    made: () => made,
    usd: () => usd,
    list: async (): Promise<Pod[]> => [...pods.values()].map((pod) => ({ ...pod })),
    async create({ name }: PodOrder): Promise<Pod> {
      if (uniform() < market.soldOut) throw new RunpodError('POST /v2/pods: 400 no capacity', { status: 400 })
      const readyAt = uniform() < market.stuck ? Number.POSITIVE_INFINITY : second + market.startSeconds
      const exitsAt = market.exits > 0 && uniform() < market.exits ? second + exitSeconds : Number.POSITIVE_INFINITY
      return add({ readyAt, exitsAt, name })
    },
    async terminate(id: string): Promise<void> {
      pods.delete(id)
    },
  }
}
