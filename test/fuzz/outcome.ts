import type { ErrorCode } from '#shared/contract/error-code.ts'

/**
 * What became of one case. `read`: a picture was read, work on pictures follows, or a request had its answer; `nothing`:
 * no work follows.
 */
export interface Outcome {
  result: 'read' | 'nothing' | ErrorCode
  /** What is wrong with it; absent when all is as it must be. */
  fault?: string
  milliseconds: number
}

/** One case of those made from a seed. */
export interface Case {
  kind: 'picture' | 'message' | 'request'
  number: number
  /** For the table. */
  group: string
  /** How it was made. */
  origin: string
}

export type Findings = ReturnType<typeof createFindings>

/** Counts what becomes of the cases, and remembers the slowest and the faults. */
export function createFindings(seed: number) {
  const groups = new Map<string, Map<string, number>>()
  const faults: string[] = []
  let slowest = { milliseconds: 0, what: 'none' }

  return {
    faults,
    add({ kind, number, group, origin }: Case, { result, fault, milliseconds }: Outcome): void {
      const results = groups.get(group) ?? new Map<string, number>()
      groups.set(group, results.set(result, (results.get(result) ?? 0) + 1))
      const isHostile = group === 'hostile'
      const what = isHostile ? origin : `${kind} ${number} of seed ${seed} (${origin})`
      const again = isHostile ? '--pictures 0 --messages 0 --requests 0' : `--seed ${seed} --${kind} ${number}`
      if (milliseconds > slowest.milliseconds) slowest = { milliseconds, what: `${what}: ${result}` }
      if (fault) faults.push(`${what}: ${fault}\n  npm run test:fuzz -- ${again}`)
    },
    slowest: () => slowest,
    /** Cases by group and result. */
    rows: () =>
      [...groups].map(([group, results]) => ({ group, results })).sort((a, b) => (a.group < b.group ? -1 : 1)),
  }
}
