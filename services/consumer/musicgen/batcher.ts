import { setTimeout as sleep } from 'node:timers/promises'
import type { Commission } from './composer.ts'

export interface BatchOptions {
  /** Clips in one generation, at most. */
  batchSize: number
  /** How long a clip waits for others to join it. */
  batchWaitMs: number
  /** A generation that takes longer is given up; one of more than 10 s of music has longer, in proportion. */
  maxGenerationSeconds: number
}

/** Of music, the length of the longest clip: as long as `maxGenerationSeconds` is meant for. */
const measureSeconds = 10

export interface WaitingCommission extends Commission {
  onFailed(error: Error): void
}

/** Gathers clips that wait at the same time into one generation; generations run one after another. */
export function createBatcher({
  compose,
  batchSize,
  batchWaitMs,
  maxGenerationSeconds,
}: BatchOptions & {
  compose: (commissions: readonly Commission[], options: { signal: AbortSignal }) => Promise<void>
}) {
  const waiting: WaitingCommission[] = []
  let running = false

  async function run(): Promise<void> {
    running = true
    while (waiting.length > 0) {
      if (waiting.length < batchSize) await sleep(batchWaitMs)
      const batch = waiting.splice(0, batchSize).filter(({ signal }) => !signal.aborted)
      if (batch.length > 0) await generate(batch)
    }
    running = false
  }

  async function generate(batch: WaitingCommission[]): Promise<void> {
    const unfinished = new Set(batch)
    const longest = Math.max(measureSeconds, ...batch.map(({ clip }) => clip.seconds))
    const limitSeconds = (maxGenerationSeconds * longest) / measureSeconds
    const commissions = batch.map((commission) => ({
      ...commission,
      onFinished(pcm: Parameters<Commission['onFinished']>[0]) {
        unfinished.delete(commission)
        commission.onFinished(pcm)
      },
    }))
    try {
      await compose(commissions, { signal: AbortSignal.timeout(Math.ceil(limitSeconds * 1000)) })
    } catch (error) {
      const failure =
        (error as Error).name === 'TimeoutError'
          ? new Error(`the generation took more than ${limitSeconds} s`)
          : (error as Error)
      for (const { signal, onFailed } of unfinished) if (!signal.aborted) onFailed(failure)
    }
  }

  return {
    /** Exactly one of `onFinished` and `onFailed` is called, or neither once `signal` is aborted. */
    add(commission: WaitingCommission): void {
      waiting.push(commission)
      if (!running) void run()
    },
  }
}
