/** The most that the database keeps, 49 days; what is older in the queue counts as much. */
const maxMilliseconds = 2 ** 32 - 1

/**
 * Times the work on an upload, in whole milliseconds. `eventTime` is by S3's clock and `now` by ours: no time has passed
 * when they disagree.
 */
export function startStopwatch({ eventTime, now }: { eventTime: string; now: () => number }) {
  const startedAt = now()
  let lapStartedAt = startedAt
  const uploadedAt = Date.parse(eventTime)
  const queueMs = Number.isNaN(uploadedAt) ? 0 : whole(startedAt - uploadedAt)
  return {
    /** From the upload to the start. */
    queueMs,
    /** Since the last lap, or the start. */
    lap(): number {
      const elapsed = now() - lapStartedAt
      lapStartedAt += elapsed
      return whole(elapsed)
    },
    /** Since the upload. */
    total: () => whole(queueMs + now() - startedAt),
  }
}

function whole(milliseconds: number): number {
  return Math.min(maxMilliseconds, Math.max(0, Math.round(milliseconds)))
}
