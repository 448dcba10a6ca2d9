import { isFinal } from '#shared/contract/result.ts'
import { type Subject, subjectOf, type Wanted } from '#shared/db/results.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { createPace, type Outlook } from './pace.ts'
import type { Reader } from './reader.ts'
import { revisionOf, type ShownJob } from './result.ts'
import { createTally } from './tally.ts'

export type Watcher = ReturnType<typeof createWatcher>

/** Hears where a job stands; undefined while there is none. */
type Listener = (found: ShownJob | undefined) => void

interface Watch {
  listener: Listener
  onClose: () => void
}

interface Watched extends Subject {
  watches: Set<Watch>
  /** Undefined until it has been looked at. */
  seen: { found: ShownJob | undefined; revision: string | undefined } | undefined
  outlook: Outlook
}

interface Clock {
  /** Milliseconds. */
  now(): number
  /** Returns what takes it back. */
  after(milliseconds: number, run: () => void): () => void
}

const realClock: Clock = {
  now: () => performance.now(),
  after(milliseconds, run) {
    const timer = setTimeout(run, milliseconds)
    return () => clearTimeout(timer)
  },
}

/** Each may be of a job of its own, and one query looks at all of these. */
const maxWatches = 2_000

/** An end is looked for so long before it is foreseen, and after. */
const nearBeforeMs = 400
const nearAfterMs = 3_000
const freshMs = 3_000

/**
 * Looks at the jobs that somebody waits for: at all of them together, whoever and however many wait. While nobody does,
 * there is no timer and no query. A database that is away is asked again until it is back, and who waits goes on waiting.
 */
export function createWatcher({
  reader,
  bucket,
  onError,
  clock = realClock,
}: {
  reader: Pick<Reader, 'read'>
  bucket: string
  /** Hears why a look failed. */
  onError: (error: unknown) => void
  clock?: Clock
}) {
  const subjects = new Map<string, Watched>()
  const pace = createPace(clock.now)
  const waiting = createTally()
  let looking = false
  let woken = false
  let closed = false
  let lastError: unknown
  let cancelTimer = () => {}

  return {
    watch,

    /**
     * Where a job stands as soon as that is enough, else when the time is up or the watcher is closed. Rejects with the
     * signal's reason, with what `watch` throws, or with RetryableFailure when the database has not once answered in that
     * time.
     */
    async until(
      wanted: Wanted,
      isEnough: (found: ShownJob | undefined) => boolean,
      { caller, signal, timeoutMs }: { caller: string; signal: AbortSignal; timeoutMs: number },
    ): Promise<ShownJob | undefined> {
      signal.throwIfAborted()
      const { promise, resolve } = Promise.withResolvers<void>()
      let last: { found: ShownJob | undefined } | undefined
      const hear = (found: ShownJob | undefined) => {
        last = { found }
        if (isEnough(found)) resolve()
      }
      const unwatch = watch(wanted, hear, { caller, onClose: resolve })
      const cancel = clock.after(timeoutMs, resolve)
      const abort = () => resolve()
      signal.addEventListener('abort', abort)
      try {
        await promise
      } finally {
        unwatch()
        cancel()
        signal.removeEventListener('abort', abort)
      }
      signal.throwIfAborted()
      if (last) return last.found
      throw new RetryableFailure('DATABASE_UNAVAILABLE', 'The database has not told in time', { cause: lastError })
    },

    /** Something has changed in this process: looks as soon as it may. */
    wake(): void {
      woken = true
      schedule()
    },

    /** Whoever waits is answered with what is known, now and from now on. */
    close(): void {
      closed = true
      cancelTimer()
      for (const { watches } of subjects.values()) for (const { onClose } of watches) onClose()
    },

    /** How many wait, by caller. */
    waiting,
  }

  /**
   * The listener is told where the job stands, now and whenever its revision changes, until the function returned is
   * called. Throws RetryableFailure OVERLOADED to a caller who has as many as are left for all others: no one takes all,
   * and ten who come one after another find room, each for half of what the last one found.
   */
  function watch(
    wanted: Wanted,
    listener: Listener,
    { caller, onClose = () => {} }: { caller: string; onClose?: () => void },
  ): () => void {
    if (closed) {
      queueMicrotask(onClose)
      return () => {}
    }
    if (waiting.of(caller) >= maxWatches - waiting.total()) {
      throw new RetryableFailure('OVERLOADED', 'too many calls wait already: ask without waiting, or later')
    }
    const watched = find(wanted)
    const watch = { listener, onClose }
    watched.watches.add(watch)
    waiting.add(caller, 1)
    // That there is none may have changed a moment ago, by whoever asks now.
    if (!watched.seen?.found) watched.seen = undefined
    if (watched.seen) queueMicrotask(() => watched.watches.has(watch) && listener(watched.seen?.found))
    else schedule()
    return () => {
      if (!watched.watches.delete(watch)) return
      waiting.add(caller, -1)
      // Whoever has heard something may want to hear more.
      if (watched.watches.size === 0) setImmediate(drop, watched)
    }
  }

  function find(wanted: Wanted): Watched {
    const subject = subjectOf(bucket, wanted)
    const known = subjects.get(subject.name)
    if (known) return known
    const watched = { ...subject, watches: new Set<Watch>(), seen: undefined, outlook: {} }
    subjects.set(subject.name, watched)
    return watched
  }

  function drop(watched: Watched): void {
    if (watched.watches.size > 0 || subjects.get(watched.name) !== watched) return
    subjects.delete(watched.name)
    if (subjects.size === 0) cancelTimer()
  }

  function schedule(): void {
    cancelTimer()
    if (closed || looking || subjects.size === 0) return
    const all = [...subjects.values()]
    const isNew = woken || all.some(({ seen }) => !seen)
    const next = pace.nextLook({ isNew, outlooks: all.map(({ outlook }) => outlook) })
    cancelTimer = clock.after(Math.max(0, next - clock.now()), () => void look())
  }

  async function look(): Promise<void> {
    looking = true
    woken = false
    pace.look()
    try {
      await lookAt([...subjects.values()])
      pace.succeeded()
    } catch (error) {
      lastError = error
      pace.failed()
      onError(error)
    } finally {
      looking = false
      schedule()
    }
  }

  async function lookAt(all: Watched[]): Promise<void> {
    const readings = await reader.read(all, pace.spend)
    for (const watched of all) {
      const { found, ageSeconds = 0 } = readings.get(watched.name) ?? {}
      const revision = found && revisionOf(found.job)
      if (watched.seen && watched.seen.revision === revision) continue
      watched.outlook = outlookOf(found?.job, ageSeconds)
      watched.seen = { found, revision }
      for (const { listener } of watched.watches) listener(found)
    }
  }

  function outlookOf(job: ShownJob['job'] | undefined, ageSeconds: number): Outlook {
    const now = clock.now()
    // It was uploaded, and its message may be under way.
    if (!job) return { freshUntil: now + freshMs }
    const { state, stage, etaSeconds } = job
    if (isFinal(state)) return {}
    const changedAt = now - ageSeconds * 1000
    if (stage === 'storing') return { nearUntil: changedAt + nearAfterMs }
    if (etaSeconds === null) return { freshUntil: changedAt + freshMs }
    const dueAt = changedAt + etaSeconds * 1000
    return { nearFrom: dueAt - nearBeforeMs, nearUntil: dueAt + nearAfterMs }
  }
}
