import { mkdir, rm, stat, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from '#shared/logger.ts'

export type VolumeLock = ReturnType<typeof createVolumeLock>

/**
 * Lets one pod at a time work on a volume that several share. It is a folder, which every file system lets only one make, and
 * its holder touches it; one that is touched no more for `abandonedMs`, by the clock of who waits, goes to one of those who wait.
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
  async function take(signal: AbortSignal): Promise<void> {
    let seen: number | undefined
    let seenAt = performance.now()
    for (let told = false; ; told = true) {
      if (await made(path)) return
      const touched = (await stat(path).catch(unlessMissing))?.mtimeMs
      if (touched !== seen) {
        seen = touched
        seenAt = performance.now()
      } else if (touched !== undefined && performance.now() - seenAt > abandonedMs) {
        // Named by the last touch: one of those who wait makes it, which is a touch to all others.
        if (await made(join(path, `taken-over-${touched}`)).catch(unlessMissing)) return
      }
      if (!told) logger.info({ path }, 'another pod prepares the models on this volume: waiting for it')
      await sleep(lookMs, undefined, { signal })
    }
  }

  return {
    /** Waits for its turn, then works. Throws when the signal comes first. */
    async hold<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
      await take(signal)
      const renewal = setInterval(() => {
        const now = new Date()
        utimes(path, now, now).catch((error: Error) => logger.warn({ err: error }, 'the lock cannot be renewed'))
      }, renewMs)
      try {
        return await work()
      } finally {
        clearInterval(renewal)
        await rm(path, { recursive: true, force: true })
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
