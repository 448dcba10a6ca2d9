import type { JobStage } from '#shared/contract/result.ts'

export interface Progress {
  stage: JobStage
  /** Over the whole job, 0 to 1. */
  progress: number
  etaSeconds?: number
}

/** Where each stage lies in the whole; composing takes nearly all the time. */
const spans: Record<JobStage, readonly [from: number, to: number]> = {
  fetching: [0, 0.05],
  classifying: [0.05, 0.1],
  composing: [0.1, 0.95],
  storing: [0.95, 1],
}

const intervalMs = 1000

export type ProgressReporter = ReturnType<typeof createProgressReporter>

/**
 * Writes where a job is, one write at a time and each at least a second after the last has ended; what comes in between is
 * kept, and only the newest of it written. While the job composes and a second brings nothing new, `check` is called instead:
 * a long chunk and a clip that waits for its batch say nothing. `now` in milliseconds.
 */
export function createProgressReporter({
  write,
  check,
  signal,
  onError,
  now,
}: {
  write: (progress: Progress) => Promise<void>
  /** Finds out whether the job is still wanted, as `write` does. */
  check: () => Promise<void>
  /** Aborted when the work is to end: that it goes on all the same need not be checked. */
  signal: AbortSignal
  /** Hears of a write or a check that failed; the next one is tried all the same. */
  onError: (error: unknown) => void
  now: () => number
}) {
  let waiting: Progress | undefined
  let running: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  /** Since the last write a second has not passed. */
  let isPause = false
  let stage: JobStage | undefined
  let stageStartedAt = 0
  let ended = false

  function flush(): void {
    clearTimeout(timer)
    isPause = false
    const next = waiting
    if (!next && (stage !== 'composing' || signal.aborted)) return
    waiting = undefined
    running = (next ? write(next) : check()).catch(onError).then(() => {
      running = undefined
      if (ended) return
      isPause = next !== undefined
      if (waiting && !isPause) flush()
      else timer = setTimeout(flush, intervalMs)
    })
  }

  return {
    /** `fraction` of the stage, 0 to 1; from it and the time so far comes the estimate of what is left. */
    report(current: JobStage, fraction = 0): void {
      if (current !== stage) {
        stage = current
        stageStartedAt = now()
      }
      const [from, to] = spans[current]
      const left = fraction > 0 ? ((now() - stageStartedAt) / 1000) * (1 / fraction - 1) : undefined
      waiting = {
        stage: current,
        progress: from + (to - from) * fraction,
        ...(left !== undefined && { etaSeconds: left }),
      }
      if (!running && !isPause && !ended) flush()
    },

    /** Drops what is not written yet, and resolves when a write or a check under way has ended. */
    async end(): Promise<void> {
      ended = true
      clearTimeout(timer)
      await running
    },
  }
}
