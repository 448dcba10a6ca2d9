import { isFinal } from '#shared/contract/result.ts'
import { type JobStanding, type Results, type Subject, subjectOf, type Wanted } from '#shared/db/results.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { revisionOf, type ShownJob } from './result.ts'

export type Reader = ReturnType<typeof createReader>

/** What is known of a subject; `ageSeconds` since it changed. */
interface Reading {
  found: ShownJob
  ageSeconds: number
}

interface Asked extends PromiseWithResolvers<ShownJob | undefined> {
  subject: Subject
}

/** Few, so that many are read together; two, so that one which hangs does not hold up all. */
const maxUnderWay = 2
/** Subjects, or rows in full, in one query. */
const maxTogether = 500
const maxWaiting = 10_000
/** Jobs that have ended, of which the revision tells whether they are still the same. */
const maxKept = 1_000

/**
 * So old may the answer be that a job has ended: it changes only when its picture is uploaded anew, and that is received
 * later than this anyway.
 */
const recentMs = 1_000

/**
 * Reads where jobs stand: all that is asked for at the same time, together, and what has ended once a second at most.
 * `now` in milliseconds.
 */
export function createReader({
  results,
  bucket,
  now = () => performance.now(),
}: {
  results: Pick<Results, 'standings' | 'findAll'>
  bucket: string
  now?: () => number
}) {
  const recent = new Map<string, { found: ShownJob; readAt: number }>()
  const waiting = new Map<string, Asked>()
  const kept = new Map<string, ShownJob>()
  let underWay = 0
  let forgotten = 0

  return {
    read,
    remembered,

    /** Something has changed in this process: who asks next is not told of before. */
    forget(): void {
      recent.clear()
      forgotten++
    },

    /** Rejects with what `Database.run` throws, or with RetryableFailure OVERLOADED when too many ask at once. */
    async find(wanted: Wanted): Promise<ShownJob | undefined> {
      const known = remembered(wanted)
      if (known) return known
      const subject = subjectOf(bucket, wanted)
      let asked = waiting.get(subject.name)
      if (!asked) {
        if (waiting.size >= maxWaiting) throw new RetryableFailure('OVERLOADED', 'Too many results are asked for')
        asked = { subject, ...Promise.withResolvers() }
        waiting.set(subject.name, asked)
        // All who ask in this turn of the event loop ask together.
        if (waiting.size === 1) setImmediate(readWaiting)
      }
      return asked.promise
    },
  }

  /** A job that has ended, read within `recentMs`. */
  function remembered(wanted: Wanted): ShownJob | undefined {
    const known = recent.get(nameOf(wanted))
    return known && now() - known.readAt < recentMs ? known.found : undefined
  }

  function readWaiting(): void {
    while (underWay < maxUnderWay && waiting.size > 0) {
      const batch = [...waiting.values()].slice(0, maxTogether)
      for (const { subject } of batch) waiting.delete(subject.name)
      underWay++
      void answer(batch)
    }
  }

  async function answer(batch: Asked[]): Promise<void> {
    try {
      const readings = await read(batch.map(({ subject }) => subject))
      for (const { subject, resolve } of batch) resolve(readings.get(subject.name)?.found)
    } catch (error) {
      for (const { reject } of batch) reject(error)
    } finally {
      underWay--
      readWaiting()
    }
  }

  /** By the names of the subjects; without those that have no job. `onQuery` hears of every query before it is made. */
  async function read(subjects: Subject[], onQuery: () => void = () => {}): Promise<Map<string, Reading>> {
    const readAt = now()
    const before = forgotten
    onQuery()
    const standings = await results.standings(subjects)
    const ended = await readEnded(standings, onQuery)
    const newest = new Map<string, JobStanding>()
    for (const each of standings) {
      newest.set(each.id, each)
      const name = `${each.keyDigest}/${each.take}`
      if (isNewer(each, newest.get(name))) newest.set(name, each)
    }
    const readings = new Map<string, Reading>()
    for (const subject of subjects) {
      const { name, key } = subject
      const standing = newest.get(name)
      const found = standing && (isFinal(standing.state) ? ended.get(standing.id) : unfinished(key, standing))
      if (found) readings.set(name, { found, ageSeconds: standing.ageSeconds })
      // Nobody is told what is older than what somebody has been told.
      if (found && isFinal(found.job.state) && before === forgotten) put(recent, nameOf(subject), { found, readAt })
      else recent.delete(nameOf(subject))
    }
    return readings
  }

  /** In full, by their ids, the jobs that have ended; only what is not kept is read. */
  async function readEnded(standings: JobStanding[], onQuery: () => void): Promise<Map<string, ShownJob>> {
    const ended = new Map<string, ShownJob>()
    const missing = new Set<string>()
    for (const standing of standings) {
      if (!isFinal(standing.state)) continue
      const found = kept.get(revisionOf(standing))
      if (found) ended.set(standing.id, found)
      else missing.add(standing.id)
    }
    const ids = [...missing]
    for (let from = 0; from < ids.length; from += maxTogether) {
      onQuery()
      for (const found of await results.findAll(ids.slice(from, from + maxTogether))) {
        // One that has begun anew since then is shown as it is now.
        ended.set(found.job.id, found)
        put(kept, revisionOf(found.job), found)
      }
    }
    return ended
  }
}

/** For a memory of many: cheaper than a digest. No key has a nul. */
function nameOf({ key, version = '', take = 0 }: Wanted): string {
  return `${key}\0${take}\0${version}`
}

/** The oldest goes for it. */
function put<T>(all: Map<string, T>, name: string, value: T): void {
  all.delete(name)
  const [oldest] = all.keys()
  if (all.size >= maxKept && oldest !== undefined) all.delete(oldest)
  all.set(name, value)
}

/** Of one sequencer, what was received last. */
function isNewer(a: JobStanding, b: JobStanding | undefined): boolean {
  if (!b) return true
  return a.sequencer === b.sequencer ? a.createdAt > b.createdAt : a.sequencer > b.sequencer
}

/** Of a job that has not ended there is no more to show than its standing. */
function unfinished(imageKey: string, standing: JobStanding): ShownJob {
  const nothingYet = { finishedAt: null, errorCode: null, errorMessage: null, errorRetryable: null }
  return { job: { ...standing, ...nothingYet, imageKey }, analysis: null }
}
