import { type Day, market, oracleUsd, simulateDay, usual } from '../cdk/scaler/simulated-day.ts'

/** The same days with the scaler, and with pods that are always on: one, and the fewest that keep the target. */
export async function benchScaler({ seeds }: { seeds: readonly number[] }) {
  const rows = []
  for (const seed of seeds) {
    rows.push(rowOf(`day ${seed}: scaler`, await simulateDay({ seed })))
    rows.push(rowOf(`day ${seed}: 1 always on`, await simulateDay({ seed, alwaysOn: 1 })))
    const fewest = await fewestAlwaysOn(seed)
    if (fewest) rows.push(rowOf(`day ${seed}: ${fewest.mostPods} always on`, fewest))
  }
  return { target_seconds: usual.target_seconds, usd_per_hour: market.usdPerHour, rows }
}

async function fewestAlwaysOn(seed: number): Promise<Day | undefined> {
  for (let alwaysOn = 2; alwaysOn <= usual.max_pods; alwaysOn++) {
    const day = await simulateDay({ seed, alwaysOn })
    if (day.seconds.p95 <= usual.target_seconds) return day
  }
  return undefined
}

function rowOf(name: string, { pictures, usd, seconds, burstSeconds, mostPods, created }: Day) {
  return {
    name,
    pictures,
    usd,
    oracle_usd: oracleUsd(pictures),
    seconds,
    burst_seconds: burstSeconds,
    most_pods: mostPods,
    ordered: created,
  }
}
