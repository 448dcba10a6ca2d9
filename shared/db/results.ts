import { and, desc, eq, getTableColumns } from 'drizzle-orm'
import { jobId, keyDigest } from '../contract/key.ts'
import type { Database } from './client.ts'
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

/** The jobs of a bucket as they are asked for, with their analyses. Throws what `Database.run` throws. */
export function createResults({ database, bucket }: { database: Database; bucket: string }) {
  return {
    /** One take on a version, or else on the newest version that has it, of a picture. */
    async find({ key, version, take = 0 }: Wanted) {
      const wanted =
        version === undefined
          ? and(eq(jobs.keyDigest, keyDigest(bucket, key)), eq(jobs.take, take))
          : eq(jobs.id, jobId({ bucket, key, version }, take))
      const [found] = await database.run((db) =>
        db
          .select({ job: jobs, analysis })
          .from(jobs)
          .leftJoin(artAnalysis, eq(artAnalysis.jobId, jobs.id))
          .where(wanted)
          .orderBy(desc(jobs.sequencer), desc(jobs.createdAt))
          .limit(1),
      )
      return found
    },
  }
}
