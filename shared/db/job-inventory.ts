import { and, asc, eq, gt, inArray, lte, or, sql } from 'drizzle-orm'
import { keyDigest } from '../contract/key.ts'
import type { JobState } from '../contract/result.ts'
import type { Database } from './client.ts'
import { now } from './job-end.ts'
import { artAnalysis, jobs } from './schema.ts'

export type JobInventory = ReturnType<typeof createJobInventory>
export type InventoriedJob = Awaited<ReturnType<JobInventory['page']>>[number]

export type NewestVersion = Awaited<ReturnType<JobInventory['newest']>> extends Map<string, infer V> ? V : never

const pageLength = 1_000

/**
 * What the database knows of a bucket's pictures, asked for many at a time, by their index. Throws what `Database.run`
 * throws.
 */
export function createJobInventory({ database, bucket }: { database: Database; bucket: string }) {
  const ours = eq(jobs.bucket, bucket)

  return {
    /**
     * The next jobs after one, by id; none when all have been. `isStuck`: for so long nobody has held it, nor written to
     * it, and it is not finished.
     */
    async page(after: string, { stuckSeconds }: { stuckSeconds: number }) {
      const then = sql`utc_timestamp(3) - interval ${stuckSeconds} second`
      const isUnheld = or(eq(jobs.state, 'queued'), and(eq(jobs.state, 'processing'), lte(jobs.leaseExpiresAt, then)))
      return database.run((db) =>
        db
          .select({
            id: jobs.id,
            key: jobs.imageKey,
            version: jobs.version,
            take: jobs.take,
            versionId: jobs.versionId,
            etag: jobs.etag,
            size: jobs.sizeBytes,
            sequencer: jobs.sequencer,
            state: jobs.state,
            uploadedAt: jobs.uploadedAt,
            createdAt: jobs.createdAt,
            updatedAt: jobs.updatedAt,
            isStuck: sql`(${isUnheld} and ${lte(jobs.updatedAt, then)})`.mapWith(Boolean),
            musicBytes: artAnalysis.musicBytes,
            musicSha256: artAnalysis.musicSha256,
          })
          .from(jobs)
          .leftJoin(artAnalysis, eq(artAnalysis.jobId, jobs.id))
          .where(and(gt(jobs.id, after), ours))
          .orderBy(asc(jobs.id))
          .limit(pageLength),
      )
    },

    /** Of each key the version that is answered as its newest, in the order of `Results.find`; by key. */
    async newest(keys: readonly string[]) {
      const { imageKey: key, version, versionId, etag, sequencer, uploadedAt, keyDigest: digest, createdAt } = jobs
      const place = sql<number>`row_number() over (partition by ${digest} order by ${sequencer} desc, ${createdAt} desc)`
      const digests = keys.map((each) => keyDigest(bucket, each))
      const rows = await database.run(async (db) => {
        if (keys.length === 0) return []
        const ranked = db
          .select({ key, version, versionId, etag, sequencer, uploadedAt, place: place.as('place') })
          .from(jobs)
          .where(and(inArray(digest, digests), ours, eq(jobs.take, 0)))
          .as('ranked')
        return db.select().from(ranked).where(eq(ranked.place, 1))
      })
      return new Map(rows.map((row) => [row.key, row]))
    },

    /** By id; a job that is not there is not in it. */
    async states(ids: readonly string[]): Promise<Map<string, { state: JobState; take: number }>> {
      if (ids.length === 0) return new Map()
      const { id, state, take } = jobs
      const rows = await database.run((db) =>
        db
          .select({ id, state, take })
          .from(jobs)
          .where(inArray(id, [...ids])),
      )
      return new Map(rows.map((row) => [row.id, row]))
    },

    /**
     * Gives a job that has succeeded and is as it was found to one caller alone, who is to reopen it; the token must be new.
     * False when it is not so, or another has won it.
     */
    async win({ id, updatedAt }: { id: string; updatedAt: Date }, token: string): Promise<boolean> {
      return database.run(async (db) => {
        await db
          .update(jobs)
          // Later than it was found, also within one millisecond: else a second caller would win it, too.
          .set({ leaseToken: token, updatedAt: sql`greatest(${now}, ${jobs.updatedAt} + interval 1000 microsecond)` })
          .where(and(eq(jobs.id, id), eq(jobs.state, 'succeeded'), eq(jobs.updatedAt, updatedAt)))
        const [row] = await db.select({ token: jobs.leaseToken }).from(jobs).where(eq(jobs.id, id))
        return row?.token === token
      })
    },

    /** Queues a job once more that was won by this token; its row stays until the next success. False when it is lost since. */
    async reopen(id: string, token: string): Promise<boolean> {
      return database.run(async (db) => {
        await db
          .update(jobs)
          .set({
            state: 'queued',
            progress: 0,
            attempt: 0,
            startedAt: null,
            finishedAt: null,
            updatedAt: now,
          })
          .where(and(eq(jobs.id, id), eq(jobs.state, 'succeeded'), eq(jobs.leaseToken, token)))
        const [row] = await db.select({ state: jobs.state, token: jobs.leaseToken }).from(jobs).where(eq(jobs.id, id))
        return row?.state === 'queued' && row.token === token
      })
    },
  }
}
