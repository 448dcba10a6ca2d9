import { and, desc, eq, getTableColumns, inArray, type SQL, sql } from 'drizzle-orm'
import { jobId, keyDigest } from '../contract/key.ts'
import { type Database, type Drizzle, preparedOnce } from './client.ts'
import { findPage, type ListQuery } from './result-list.ts'
import { artAnalysis, jobs } from './schema.ts'

export type Results = ReturnType<typeof createResults>
export type FoundJob = NonNullable<Awaited<ReturnType<Results['find']>>>

/** Which job is asked for. */
export interface Wanted {
  key: string
  /** The newest when absent. */
  version?: string | undefined
  /** 0, the first, when absent. */
  take?: number | undefined
}

const { embedding: _, ...analysis } = getTableColumns(artAnalysis)

const select = (wanted: SQL | undefined) => (db: Drizzle) =>
  selectJobs(db).where(wanted).orderBy(desc(jobs.sequencer), desc(jobs.createdAt)).limit(1).prepare()

const byVersion = preparedOnce(select(eq(jobs.id, sql.placeholder('id'))))
const newest = preparedOnce(
  select(and(eq(jobs.keyDigest, sql.placeholder('digest')), eq(jobs.take, sql.placeholder('take')))),
)

/** The jobs of a bucket as they are asked for, with their analyses. Throws what `Database.run` throws. */
export function createResults({ database, bucket }: { database: Database; bucket: string }) {
  return {
    /** One take on a version, or else on the newest version that has it, of a picture. */
    async find({ key, version, take = 0 }: Wanted) {
      const [found] = await database.run((db) =>
        version === undefined
          ? newest(db).execute({ digest: keyDigest(bucket, key), take })
          : byVersion(db).execute({ id: jobId({ bucket, key, version }, take) }),
      )
      return found
    },

    /** Those that the newest result was made with. */
    async models() {
      const [newest] = await database.run((db) =>
        db
          .select({
            music: { name: artAnalysis.musicModel, revision: artAnalysis.musicModelRevision },
            classifier: { name: artAnalysis.classifierModel, revision: artAnalysis.classifierModelRevision },
          })
          .from(jobs)
          .innerJoin(artAnalysis, eq(artAnalysis.jobId, jobs.id))
          .where(and(eq(jobs.state, 'succeeded'), eq(jobs.bucket, bucket)))
          .orderBy(desc(jobs.createdAt), desc(jobs.id))
          .limit(1),
      )
      return newest
    },

    /** A page of the jobs, newest first, as findPage finds it. */
    async list(query: ListQuery) {
      return database.run(async (db) => {
        const { page, next } = await findPage(db, query)
        const ids = page.map(({ id }) => id)
        const { state } = query.filters
        // Asked again, since a job may have left the state.
        const isWanted = and(inArray(jobs.id, ids), eq(jobs.bucket, bucket), state && eq(jobs.state, state))
        const found = ids.length ? await selectJobs(db).where(isWanted) : []
        return { found: found.sort((one, other) => ids.indexOf(one.job.id) - ids.indexOf(other.job.id)), next }
      })
    },
  }
}

/** What is answered of jobs; the caller says of which. */
export function selectJobs(db: Pick<Drizzle, 'select'>) {
  return db.select({ job: jobs, analysis }).from(jobs).leftJoin(artAnalysis, eq(artAnalysis.jobId, jobs.id))
}
