/** The most that the database keeps, 49 days; what is older in the queue counts as much. */
const maxMilliseconds = 2 ** 32 - 1

/** Of one try on a picture, in this order. */
type Stage = 'claim' | 'fetch' | 'classify' | 'generate' | 'store' | 'record'

export interface StageTime {
  stage: Stage
  /** Milliseconds since 1970. */
  startedAt: number
  endedAt: number
}

export type Stopwatch = ReturnType<typeof startStopwatch>

/**
 * Times the work on an upload, one stage after another. `eventTime` is by S3's clock and `now`, in milliseconds since 1970,
 * by ours: no time has passed when they disagree.
 */
export function startStopwatch({ eventTime, now }: { eventTime: string; now: () => number }) {
  const startedAt = now()
  const eventAt = Date.parse(eventTime)
  const queueMs = Number.isNaN(eventAt) ? 0 : whole(startedAt - eventAt)
  const uploadedAt = startedAt - queueMs
  const stages: StageTime[] = []
  let running: Omit<StageTime, 'endedAt'> | undefined

  function end(at = now()): void {
    if (running) stages.push({ ...running, endedAt: at })
    running = undefined
  }

  return {
    uploadedAt,
    startedAt,
    /** Those that have ended, whole or cut short. */
    stages,
    /** From the upload to the start, in whole milliseconds. */
    queueMs,
    /** Ends the stage before it. */
    begin(stage: Stage): void {
      const at = now()
      end(at)
      running = { stage, startedAt: at }
    },
    end: () => end(),
    /** How long a stage that has ended took, in whole milliseconds. */
    milliseconds(stage: Stage): number {
      const time = stages.find((each) => each.stage === stage)
      return time ? whole(time.endedAt - time.startedAt) : 0
    },
    /** Since the upload, in whole milliseconds. */
    total: () => whole(now() - uploadedAt),
  }
}

function whole(milliseconds: number): number {
  return Math.min(maxMilliseconds, Math.max(0, Math.round(milliseconds)))
}
