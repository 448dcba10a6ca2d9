import { createUniform } from '../../services/consumer/musicgen/random.ts'

export const services = ['database', 's3', 'sqs'] as const
export type Service = (typeof services)[number]
export const partitions = ['reset', 'hang', 'delay', 'cut'] as const
export type Partition = (typeof partitions)[number]

/** What befalls whom and when, in seconds from the start. Without `consumer`: all of them. */
export type Fault = { at: number } & (
  | { kind: 'kill'; consumer: number; withChildren: boolean; downSeconds: number }
  | { kind: 'terminate'; consumer: number; downSeconds: number }
  | { kind: 'kill inference'; consumer: number }
  | { kind: 'hang inference'; consumer: number }
  | { kind: 'kill decoder'; consumer: number }
  | { kind: 'pause'; consumer: number; withChildren: boolean; seconds: number }
  | { kind: 'partition'; consumer?: number; service: Service; how: Partition; seconds: number }
)

export interface PlanOptions {
  seed: number
  /** Faults begin in this time. */
  seconds: number
  consumers: number
  leaseSeconds: number
}

/** Seconds between two faults: from half of it to one and a half. */
const meanInterval = 2

/** One fault after another of every kind, never two of the same consumer's process at once. The same seed, the same plan. */
export function planChaos({ seed, seconds, consumers, leaseSeconds }: PlanOptions): Fault[] {
  const draw = createDraw(seed)
  const faults: Fault[] = []
  /** When each consumer is whole again. */
  const free = Array.from({ length: consumers }, () => 0)
  for (let at = draw.between(0.5, 1.5); at < seconds; at += draw.between(0.5, 1.5) * meanInterval) {
    const consumer = Math.floor(draw.between(0, consumers))
    const fault = drawFault(at, consumer)
    if (fault.kind !== 'partition' && free[consumer]! > at) continue
    if (fault.kind !== 'partition') free[consumer] = at + recoverySeconds(fault)
    faults.push(fault)
  }
  return faults

  function drawFault(at: number, consumer: number): Fault {
    const lot = draw.between(0, 100)
    const withChildren = draw.between(0, 1) < 0.5
    const downSeconds = draw.between(0, 2)
    if (lot < 22) return { at, kind: 'kill', consumer, withChildren, downSeconds }
    if (lot < 36) return { at, kind: 'terminate', consumer, downSeconds }
    if (lot < 44) return { at, kind: 'kill inference', consumer }
    if (lot < 48) return { at, kind: 'kill decoder', consumer }
    if (lot < 52) return { at, kind: 'hang inference', consumer }
    if (lot < 68) return { at, kind: 'pause', consumer, withChildren, seconds: leaseSeconds * draw.between(1.1, 2) }
    const whom = draw.between(0, 1) < 0.6 ? { consumer } : {}
    const service = draw.of(services)
    return { at, kind: 'partition', ...whom, service, how: draw.of(partitions), seconds: draw.between(1, 8) }
  }
}

/** Nothing but a kill every `interval` seconds, of each consumer in its turn. */
export function planKills({ seed, seconds, consumers }: PlanOptions, interval = 4): Fault[] {
  const draw = createDraw(seed)
  return Array.from({ length: Math.floor(seconds / interval) }, (_, index) => ({
    at: (index + 1) * interval,
    kind: 'kill' as const,
    consumer: index % consumers,
    withChildren: draw.between(0, 1) < 0.5,
    downSeconds: 0,
  }))
}

/** Each service away from everyone for `awaySeconds`: half of them hanging, half of them down. Then time to recover. */
export function planOutages(awaySeconds: number): Fault[] {
  return services.flatMap((service, index) =>
    (['hang', 'reset'] as const).map((how, half) => ({
      at: 2 + index * 2 * awaySeconds + (half * awaySeconds) / 2,
      kind: 'partition' as const,
      service,
      how,
      seconds: awaySeconds / 2,
    })),
  )
}

const names: Record<Fault['kind'], string> = {
  kill: 'kills',
  terminate: 'terminations',
  'kill inference': 'inference kills',
  'hang inference': 'inference hangs',
  'kill decoder': 'decoder kills',
  pause: 'pauses',
  partition: 'partitions',
}

export function nameOfFault(fault: Fault): string {
  return fault.kind === 'partition' ? `${names.partition} (${fault.service})` : names[fault.kind]
}

export function describeFault({ at, kind, ...fault }: Fault): string {
  const rest = Object.entries(fault).map(
    ([name, value]) => `${name} ${typeof value === 'number' ? round(value) : value}`,
  )
  return `${at.toFixed(1).padStart(6)} s  ${kind}: ${rest.join(', ')}`
}

/** Until a consumer can be hit again; one that is started takes some seconds of its own. */
function recoverySeconds(fault: Fault): number {
  if (fault.kind === 'pause') return fault.seconds + 1
  if (fault.kind === 'kill' || fault.kind === 'terminate') return fault.downSeconds + 5
  return 3
}

export function createDraw(seed: number) {
  const uniform = createUniform(seed)
  return {
    between: (from: number, to: number) => from + (to - from) * uniform(),
    of: <T>(choices: readonly T[]): T => choices[Math.floor(uniform() * choices.length)]!,
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
