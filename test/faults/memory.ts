import { setTimeout as sleep } from 'node:timers/promises'
import type { ConsumerSlot } from './consumer.ts'

const intervalSeconds = 10
const samplesPerInterval = 5
/** Far less than a sound or a picture kept for each upload would come to, in a run of some minutes. */
const mostGrowthMegabytes = 25

/**
 * Samples the resident memory of each consumer and of the processes that it has started, until aborted. By the second quarter caches and
 * garbage have reached their usual size: from then on the median must not grow. Returns what has grown.
 */
export async function watchMemory({
  slots,
  signal,
  say,
}: {
  slots: ConsumerSlot[]
  signal: AbortSignal
  say(line: string): void
}): Promise<string[]> {
  const series = new Map<string, number[]>()
  for (let sample = 0; !signal.aborted; sample++) {
    for (const slot of slots) {
      for (const [name, { megabytes }] of await slot.processes()) {
        const of = `${slot.name}, ${name}`
        series.set(of, [...(series.get(of) ?? []), megabytes])
      }
    }
    if (sample % samplesPerInterval === 0) {
      say(`      ${Array.from(series, ([name, values]) => `${name}: ${values.at(-1)} MB`).join('; ')}`)
    }
    await sleep((intervalSeconds * 1000) / samplesPerInterval, undefined, { signal }).catch(() => {})
  }
  return Array.from(series).flatMap(([name, megabytes]) => {
    const quarter = Math.floor(megabytes.length / 4)
    const [second, last] = [median(megabytes.slice(quarter, 2 * quarter)), median(megabytes.slice(-quarter))]
    say(`memory of ${name}: median ${second} MB in the second quarter, ${last} MB in the last`)
    return last - second < mostGrowthMegabytes ? [] : [`${name} grew from ${second} to ${last} MB: ${megabytes}`]
  })
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
}
