import timers from 'node:timers/promises'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import type { Logger } from '#shared/logger.ts'
import { type Backoff, backoffSeconds } from './pipeline/backoff.ts'

/** Between two probes. */
const probeBackoff: Backoff = { firstSeconds: 1, mostSeconds: 30 }

/**
 * After these, about four minutes, a message is received all the same: it may be the probe that fails, for want of a right
 * that pictures do not need.
 */
const maxProbes = 12

export type Outages = ReturnType<typeof createOutages>

/**
 * What all messages need and is away at present. SQS counts every receive and dead-letters a message that has had too
 * many, so nothing is received until a probe succeeds; what has none is given time.
 */
export function createOutages({
  probes,
  random,
  logger,
}: {
  /** Each resolves when the service answers. */
  probes: Partial<Record<ErrorCode, (signal: AbortSignal) => Promise<void>>>
  random: () => number
  logger: Logger
}) {
  /** Since when. */
  const away = new Map<ErrorCode, Date>()
  /** Those of them that are still waited for. */
  const awaited = new Set<ErrorCode>()
  let probing: Promise<void> | undefined

  async function probeUntilBack(signal: AbortSignal): Promise<void> {
    for (let tries = 1; awaited.size > 0 && tries <= maxProbes; tries++) {
      await timers.setTimeout(backoffSeconds(tries, probeBackoff, random) * 1000, undefined, { signal })
      for (const code of awaited) {
        try {
          await probes[code]?.(signal)
          awaited.delete(code)
          away.delete(code)
        } catch (error) {
          logger.warn({ err: error, code, tries }, 'still away')
        }
      }
    }
    logger.info({ still_away: [...awaited] }, 'receiving again')
    awaited.clear()
  }

  return {
    begin(code: ErrorCode): void {
      if (awaited.has(code)) return
      awaited.add(code)
      if (!away.has(code)) away.set(code, new Date())
      logger.warn({ code }, 'an outage: nothing is received until it is over')
    },

    /** Resolves at once when there is no outage. All callers give the same signal, and wait for the same probe. */
    async over(signal: AbortSignal): Promise<void> {
      if (awaited.size === 0) return
      probing ??= probeUntilBack(signal).finally(() => {
        probing = undefined
      })
      await probing
    },

    /** A picture has succeeded: what is no longer waited for was there, whatever its probe said. */
    disprove(): void {
      for (const code of away.keys()) if (!awaited.has(code)) away.delete(code)
    },

    current: () => Array.from(away, ([code, since]) => ({ code, since })),
  }
}
