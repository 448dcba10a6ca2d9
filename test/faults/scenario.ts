import { watchMemory } from './memory.ts'
import { type Fault, planChaos, planKills, planOutages } from './plan.ts'
import { type Report, runFaults } from './run.ts'
import { planUploads } from './uploads.ts'

interface Scenario {
  description: string
  consumers: number
  /** Pictures per second. */
  rate: number
  mixed: boolean
  settings: Record<string, string>
  plan(options: { seed: number; seconds: number; consumers: number; leaseSeconds: number }): Fault[]
}

const leaseSeconds = 3
const graceSeconds = 2
const settleSeconds = 240
const settings = { LEASE_SECONDS: String(leaseSeconds), MUSIC_SECONDS: '1', METRICS_PORT: '0' }

export const scenarios = {
  chaos: {
    description: 'kills, stops, pauses and partitions of all kinds; pictures and events of all kinds',
    consumers: 3,
    rate: 2,
    mixed: true,
    // A picture may have many tries here for which it is not to blame.
    settings: { ...settings, MAX_ATTEMPTS: '50', MAX_GENERATION_SECONDS: '8' },
    plan: planChaos,
  },
  kills: {
    description: '200 uploads in ten seconds and a kill every 4 s: all succeed, within the usual MAX_ATTEMPTS',
    consumers: 3,
    rate: 20,
    mixed: false,
    settings: { ...settings, MUSIC_SECONDS: '10' },
    plan: planKills,
  },
  outages: {
    description:
      'the database, S3 and SQS away from everyone, each a sixth of the time (6 minutes: 60 s), first hanging, then down',
    consumers: 2,
    rate: 1,
    mixed: false,
    settings,
    plan: ({ seconds }) => planOutages(seconds / 6),
  },
  soak: {
    description:
      'a steady load and no faults; the memory of the consumer and of the processes that it starts must stay flat',
    consumers: 1,
    rate: 3,
    mixed: false,
    settings,
    plan: () => [],
  },
} satisfies Record<string, Scenario>

export type ScenarioName = keyof typeof scenarios

export async function runScenario({
  scenario: name,
  seconds,
  seed,
  say,
}: {
  scenario: ScenarioName
  seconds: number
  seed: number
  say(line: string): void
}): Promise<Report> {
  const scenario: Scenario = scenarios[name]
  const { consumers, rate, mixed } = scenario
  const faults = scenario.plan({ seed, seconds, consumers, leaseSeconds })
  const uploadSeconds = name === 'kills' ? 10 : seconds
  const uploads = await planUploads({ seed, count: Math.ceil(rate * uploadSeconds), seconds: uploadSeconds, mixed })
  return runFaults({
    consumers,
    faults,
    uploads,
    settings: scenario.settings,
    graceSeconds,
    settleSeconds,
    ...(name === 'soak' && { watch: (slots, signal) => watchMemory({ slots, signal, say }) }),
    say,
  })
}
