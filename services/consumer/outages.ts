import timers from 'node:timers/promises'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import type { Logger } from '#shared/logger.ts'
import { type Backoff, backoffSeconds, mostOutageSeconds } from './pipeline/backoff.ts'

/** Of these the service is at fault, and not the picture unless others succeed; such a try is not counted against it. */
export const outageCodes = [
  'DATABASE_UNAVAILABLE',
  'STORAGE_UNAVAILABLE',
  'MODEL_UNAVAILABLE',
] as const satisfies ErrorCode[]

/** Between two probes. */
const probeBackoff: Backoff = { firstSeconds: 1, mostSeconds: 30 }

/**
 * After each so many, some minutes, a message is received all the same: it may be the probe that fails, for want of a right
 * that pictures do not need.
 */
const maxProbes = 12

/** After a probe has succeeded: by then every message that was given back has come again, and its work has met the service. */
const doubtMs = 2 * mostOutageSeconds * 1000

/** Jobs that are remembered for having met an outage. */
const maxMet = 1_000

interface Outage {
  /** Milliseconds since 1970, as `backAt`. */
  since: number
  /** Nothing is received until its probe succeeds. */
  isAwaited: boolean
  /** When its probe succeeded. */
  backAt?: number
  /** A try begun after that has failed as those before: what the probe asks for is there, and not what pictures need. */
  isBelied: boolean
}

export type Outages = ReturnType<typeof createOutages>

/**
 * What all messages need and is away at present. SQS counts every receive and dead-letters a message that has had too
 * many, so nothing is received until a probe succeeds; what has none is given time. Where pictures belie the probe, the
 * outage goes on until one of them succeeds, and some are received after ever longer pauses.
 */
export function createOutages({
  probes,
  random,
  now,
  logger,
}: {
  /** Each resolves when the service answers. */
  probes: Partial<Record<ErrorCode, (signal: AbortSignal) => Promise<void>>>
  random: () => number
  /** Milliseconds since 1970; never goes back. */
  now: () => number
  logger: Logger
}) {
  const outages = new Map<ErrorCode, Outage>()
  /** When jobs have last met an outage, the longest ago first. */
  const met = new Map<string, number>()
  /** The last start of a try that has needed everything, and succeeded. */
  let provenAt = Number.NEGATIVE_INFINITY
  /** One after the other, of outages that are one by what pictures say. */
  let pauses = 0
  let probing: Promise<void> | undefined

  const isAnyAwaited = () => [...outages.values()].some(({ isAwaited }) => isAwaited)
  const isDoubted = ({ backAt }: Outage) => backAt === undefined || now() - backAt < doubtMs

  async function probeUntilBack(signal: AbortSignal): Promise<void> {
    do {
      pauses++
      await timers.setTimeout(backoffSeconds(pauses, probeBackoff, random) * 1000, undefined, { signal })
      for (const [code, outage] of outages) {
        if (!outage.isAwaited) continue
        try {
          await probes[code]?.(signal)
          outage.isAwaited = false
          outage.backAt = now()
        } catch (error) {
          logger.warn({ err: error, code, tries: pauses }, 'still away')
        }
      }
    } while (isAnyAwaited() && pauses % maxProbes !== 0)
    const stillAway = Array.from(outages).flatMap(([code, { isAwaited }]) => (isAwaited ? code : []))
    logger.info({ still_away: stillAway }, 'receiving again')
    for (const outage of outages.values()) outage.isAwaited = false
  }

  return {
    /** A try that was begun at `startedAt` has failed for want of it. */
    begin(code: ErrorCode, startedAt: number): void {
      const known = outages.get(code)
      if (known?.isAwaited) return
      const goesOn = known && isDoubted(known) && (known.isBelied || startedAt > (known.backAt ?? 0))
      if (!goesOn && !isAnyAwaited()) pauses = 0
      outages.set(code, {
        since: goesOn ? known.since : now(),
        isAwaited: true,
        isBelied: goesOn === true && (known.isBelied || known.backAt !== undefined),
      })
      logger.warn({ code }, 'an outage: nothing is received until it is over')
    },

    /** Resolves at once when there is no outage. All callers give the same signal, and wait for the same probe. */
    async over(signal: AbortSignal): Promise<void> {
      if (!isAnyAwaited()) return
      probing ??= probeUntilBack(signal).finally(() => {
        probing = undefined
      })
      await probing
    },

    /**
     * Whether it is the job's own fault, and no outage, that a try on it has just failed so: since it last did, a picture
     * has been begun and has succeeded, and the service answers.
     */
    async isOwnFault(code: ErrorCode, jobId: string, signal: AbortSignal): Promise<boolean> {
      const metAt = met.get(jobId) ?? Number.POSITIVE_INFINITY
      met.delete(jobId)
      met.set(jobId, now())
      if (met.size > maxMet) met.delete(met.keys().next().value!)
      if (provenAt <= metAt) return false
      const probe = probes[code] ?? (async () => {})
      return probe(signal).then(
        () => true,
        () => false,
      )
    },

    /**
     * A try that was begun at `startedAt` has succeeded: what is no longer waited for is there. Where pictures have belied a
     * probe, it takes one of them, which needs everything.
     */
    disprove(startedAt: number, { isOfPicture }: { isOfPicture: boolean }): void {
      if (isOfPicture) provenAt = Math.max(provenAt, startedAt)
      for (const [code, { isAwaited, isBelied, since }] of outages) {
        if (!isAwaited && startedAt > since && (isOfPicture || !isBelied)) outages.delete(code)
      }
    },

    current: () =>
      Array.from(outages).flatMap(([code, outage]) => {
        const isAway = outage.backAt === undefined || (outage.isBelied && isDoubted(outage))
        return isAway ? { code, since: new Date(outage.since) } : []
      }),
  }
}
