import { and, desc, eq, getTableColumns, inArray, max, type SQL, sql } from 'drizzle-orm'
import { unionAll } from 'drizzle-orm/mysql-core'
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

/** What is asked for, as the database finds it. */
export interface Subject {
  /** Of its own: the job's id, or else its digest and take. */
  name: string
  key: string
  version: string | undefined
  take: number
  keyDigest: string
  /** When a version is named. */
  jobId: string | undefined
}

/** Of a job, what tells how far it is. */
export type JobStanding = Awaited<ReturnType<Results['standings']>>[number]

export function subjectOf(bucket: string, { key, version, take = 0 }: Wanted): Subject {
  const digest = keyDigest(bucket, key)
  const id = version === undefined ? undefined : jobId({ bucket, key, version }, take)
  return { name: id ?? `${digest}/${take}`, key, version, take, keyDigest: digest, jobId: id }
}

const { embedding: _, ...analysis } = getTableColumns(artAnalysis)

const standing = {
  id: jobs.id,
  keyDigest: jobs.keyDigest,
  version: jobs.version,
  versionId: jobs.versionId,
  take: jobs.take,
  sequencer: jobs.sequencer,
  state: jobs.state,
  stage: jobs.stage,
  progress: jobs.progress,
  etaSeconds: jobs.etaSeconds,
  attempt: jobs.attempt,
  createdAt: jobs.createdAt,
  startedAt: jobs.startedAt,
  updatedAt: jobs.updatedAt,
  /** Since `updatedAt`, by the database's clock. */
  ageSeconds: sql<number>`timestampdiff(microsecond, ${jobs.updatedAt}, utc_timestamp(3)) / 1e6`.mapWith(Number),
}

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

    /** How far the jobs of all these subjects are, in one query; without a version, the newest that has the take. */
    async standings(subjects: Subject[]) {
      const ids = subjects.flatMap(({ jobId: id }) => id ?? [])
      const byKey = subjects.filter(({ jobId: id }) => !id)
      return database.run(async (db) => {
        if (!byKey.length) return ids.length ? byIds(db, ids) : []
        return ids.length ? unionAll(byIds(db, ids), newestOf(db, byKey)) : newestOf(db, byKey)
      })
    },

    /** These jobs and their analyses. */
    async findAll(ids: string[]) {
      return database.run((db) => selectJobs(db).where(inArray(jobs.id, ids)))
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

function byIds(db: Drizzle, ids: string[]) {
  return db.select(standing).from(jobs).where(inArray(jobs.id, ids))
}

/** May give other takes than those asked for on some of the keys. */
function newestOf(db: Drizzle, subjects: Subject[]) {
  const digests = [...new Set(subjects.map((each) => each.keyDigest))]
  const takes = [...new Set(subjects.map(({ take }) => take))]
  const newest = db
    .select({ keyDigest: jobs.keyDigest, take: jobs.take, sequencer: max(jobs.sequencer).as('newest_sequencer') })
    .from(jobs)
    .where(and(inArray(jobs.keyDigest, digests), inArray(jobs.take, takes)))
    .groupBy(jobs.keyDigest, jobs.take)
    .as('newest')
  const isNewest = and(
    eq(jobs.keyDigest, newest.keyDigest),
    eq(jobs.take, newest.take),
    eq(jobs.sequencer, newest.sequencer),
  )
  return db.select(standing).from(jobs).innerJoin(newest, isNewest)
}
