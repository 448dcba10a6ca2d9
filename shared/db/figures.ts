import { and, asc, count, desc, eq, gte, min, sql } from 'drizzle-orm'
import type { JobState } from '../contract/result.ts'
import type { Database, Drizzle } from './client.ts'
import { now } from './job-end.ts'
import { artAnalysis, jobs } from './schema.ts'

export type FiguresReader = ReturnType<typeof createFiguresReader>
export type Figures = Awaited<ReturnType<FiguresReader['read']>>

/** Jobs counted for one figure, at most: there may be more. */
export const maxCounted = 10_000
const maxRecent = 100
const failureHours = 24

/**
 * How the work goes, over all jobs that the database has. Each statement names the index that it goes along, and what it
 * reads is bounded, however many jobs there are. Throws what `Database.run` throws.
 */
export function createFiguresReader({ database }: { database: Database }) {
  return {
    async read() {
      return database.run(async (db) => {
        const queued = await unfinished(db, 'queued')
        const processing = await unfinished(db, 'processing')
        const { at } = processing
        const since = new Date(at.getTime() - failureHours * 3_600_000)
        const ages = [queued, processing].flatMap(({ oldestSeconds }) => oldestSeconds ?? []).map(Number)
        return {
          /** By the database's clock. */
          at,
          queued: queued.count,
          processing: processing.count,
          /** Since it was received first; undefined when all jobs have ended. */
          oldestSeconds: ages.length ? Math.max(0, ...ages) : undefined,
          failures: { since, byCode: await failuresByCode(db, since) },
          recent: await recentTimings(db),
        }
      })
    },
  }
}

/** How many jobs are in a state, the oldest of which is among those counted. */
async function unfinished(db: Drizzle, state: JobState) {
  const oldest = db
    .select({ createdAt: jobs.createdAt })
    .from(jobs, { forceIndex: 'jobs_state_created' })
    .where(eq(jobs.state, state))
    .orderBy(asc(jobs.createdAt))
    .limit(maxCounted)
    .as('oldest')
  const oldestSeconds = sql<string | null>`timestampdiff(microsecond, ${min(oldest.createdAt)}, ${now}) / 1e6`
  const [found] = await db.select({ at: now.mapWith(jobs.createdAt), count: count(), oldestSeconds }).from(oldest)
  return found!
}

/** Most first. `updatedAt` of a job that has failed is when it did. */
async function failuresByCode(db: Drizzle, since: Date) {
  const failed = db
    .select({ code: jobs.errorCode })
    .from(jobs, { forceIndex: 'jobs_state' })
    .where(and(eq(jobs.state, 'failed'), gte(jobs.updatedAt, since)))
    .orderBy(desc(jobs.updatedAt))
    .limit(maxCounted)
    .as('failed')
  return db
    .select({ code: failed.code, jobs: count() })
    .from(failed)
    .groupBy(failed.code)
    .orderBy(desc(count()), asc(failed.code))
}

/** Of the jobs that succeeded last, the latest first. */
async function recentTimings(db: Drizzle) {
  const { queueMs, fetchMs, classifyMs, generateMs, storeMs, totalMs } = artAnalysis
  const rows = await db
    .select({
      key: jobs.imageKey,
      take: jobs.take,
      finishedAt: jobs.updatedAt,
      timings: { queueMs, fetchMs, classifyMs, generateMs, storeMs, totalMs },
    })
    .from(jobs, { forceIndex: 'jobs_state' })
    // Not an inner join, which may begin with all there is.
    .leftJoin(artAnalysis, eq(artAnalysis.jobId, jobs.id))
    .where(eq(jobs.state, 'succeeded'))
    .orderBy(desc(jobs.updatedAt))
    .limit(maxRecent)
  return rows.flatMap(({ timings, ...job }) => (timings ? { ...job, ...timings } : []))
}
