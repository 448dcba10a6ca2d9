import type { Operations } from './operator-api.ts'

export type Timings = Operations['recent'][number]

/** In this order, each in what the API calls `<stage>_ms`. */
export const workStages = ['fetch', 'classify', 'generate', 'store'] as const
export const allStages = [...workStages, 'queue'] as const
export type Stage = (typeof allStages)[number]

export function millisecondsOf(timings: Timings, stage: Stage): number {
  return timings[`${stage}_ms`]
}

/** The least of the values that at least this share of them does not exceed; undefined of none. */
export function percentile(values: number[], share: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}

/** 1, 2 or 5 times a power of ten that is not exceeded; something above nothing in any case. */
export function ceilingOf(value: number): number {
  if (value <= 1) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= value) ?? 10 * power
}

/** Where a part of a bar is; of a plot 1 wide and 1 high, with its origin above on the left. */
interface Bar {
  stage: Stage
  x: number
  y: number
  width: number
  height: number
}

/** Fewer bars than this leave room on the left. */
const leastPlaces = 25

/** A bar for each result, the newest on the right, of its stages one on another. `ceiling` is what the top stands for. */
export function stack(newestFirst: Timings[], stages: readonly Stage[]): { bars: Bar[]; ceiling: number } {
  const sum = (timings: Timings) => stages.reduce((total, stage) => total + millisecondsOf(timings, stage), 0)
  const ceiling = ceilingOf(Math.max(0, ...newestFirst.map(sum)))
  const width = 1 / Math.max(leastPlaces, newestFirst.length)
  const bars = newestFirst.flatMap((timings, index) => {
    let top = 0
    return stages.map((stage) => {
      const milliseconds = millisecondsOf(timings, stage)
      top += milliseconds
      return { stage, x: 1 - (index + 1) * width, y: 1 - top / ceiling, width, height: milliseconds / ceiling }
    })
  })
  return { bars, ceiling }
}
