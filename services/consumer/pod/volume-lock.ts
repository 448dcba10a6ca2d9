import { randomUUID } from 'node:crypto'
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from '#shared/logger.ts'

/**
 * Lets one pod at a time work on a volume that several share. It is a folder, which every file system lets only one make, and
 * its holder touches it; one that is touched no more for `abandonedMs`, by the clock of who waits, goes to one of those who wait.
 * A holder that was only paused goes on beside its successor, and leaves it the lock.
 */
export function createVolumeLock({
  path,
  logger,
  renewMs = 5_000,
  abandonedMs = 60_000,
  lookMs = 1_000,
}: {
  path: string
  logger: Logger
  renewMs?: number
  abandonedMs?: number
  lookMs?: number
}) {
  const names = async () => (await readdir(path)).sort()

  /** Resolves to the names in the folder when it was taken, one of which is nobody else's. */
  async function take(signal: AbortSignal): Promise<string[]> {
    let seen: number | undefined
    let seenAt = performance.now()
    for (let told = false; ; told = true) {
      if (await made(path)) {
        await mkdir(join(path, randomUUID()))
        return await names()
      }
      const touched = (await stat(path).catch(unlessMissing))?.mtimeMs
      if (touched !== seen) {
        seen = touched
        seenAt = performance.now()
      } else if (touched !== undefined && performance.now() - seenAt > abandonedMs) {
        // Named by the last touch: one of those who wait makes it, which is a touch to all others.
        if (await made(join(path, `taken-over-${touched}`)).catch(unlessMissing)) return await names()
      }
      if (!told) logger.info({ path }, 'another pod prepares the models on this volume: waiting for it')
      await sleep(lookMs, undefined, { signal })
    }
  }

  return {
    /** Waits for its turn, then works. Throws when the signal comes first. */
    async hold<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
      const taken = await take(signal)
      const isOurs = async () => isDeepStrictEqual(await names().catch(unlessMissing), taken)
      const renew = async () => {
        const now = new Date()
        if (await isOurs()) await utimes(path, now, now)
      }
      const renewal = setInterval(() => {
        renew().catch((error: Error) => logger.warn({ err: error }, 'the lock cannot be renewed'))
      }, renewMs)
      try {
        return await work()
      } finally {
        clearInterval(renewal)
        if (await isOurs()) await rm(path, { recursive: true, force: true })
        else logger.warn({ path }, 'another pod has taken the lock over meanwhile')
      }
    },
  }
}

/** Whether it was this call that made the folder. */
async function made(path: string): Promise<boolean> {
  try {
    await mkdir(path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
