import { and, desc, eq, inArray, lte, sql } from 'drizzle-orm'
import type { Database } from './client.ts'
import { now } from './job-end.ts'
import { consumers } from './schema.ts'

/** What a consumer says of itself. */
export interface SignOfLife
  extends Omit<typeof consumers.$inferInsert, 'startedAt' | 'seenAt' | 'outages' | 'executionProviders'> {
  outages: readonly string[]
  executionProviders: readonly string[]
  /** Since it started. */
  uptimeSeconds: number
}

export type Consumers = ReturnType<typeof createConsumers>
export type SeenConsumer = Awaited<ReturnType<Consumers['list']>>[number]

/** Seen within this time, it is alive. */
const aliveSeconds = 60
const keptDays = 1
const maxListed = 200
const removalLength = 1_000

const ago = (seconds: number) => sql<Date>`utc_timestamp(3) - interval ${Math.ceil(seconds * 1e6)} microsecond`
const isForgotten = lte(consumers.seenAt, sql`utc_timestamp(3) - interval ${keptDays} day`)

/** Which consumers there are, by what they write of themselves and the database's clock. Throws what `Database.run` throws. */
export function createConsumers({ database }: { database: Database }) {
  return {
    /** Says that a consumer is there, and removes those not seen for a day. */
    async write({ uptimeSeconds, outages, executionProviders, ...sign }: SignOfLife): Promise<void> {
      const row = {
        ...sign,
        realTimeFactor: sign.realTimeFactor ?? null,
        receivedAgeSeconds: sign.receivedAgeSeconds ?? null,
        outages: outages.join(),
        executionProviders: executionProviders.join(),
        seenAt: now,
      }
      await database.run(async (db) => {
        await db
          .insert(consumers)
          .values({ ...row, startedAt: ago(uptimeSeconds) })
          .onDuplicateKeyUpdate({ set: row })
        const forgotten = await db.select({ id: consumers.id }).from(consumers).where(isForgotten).limit(removalLength)
        if (forgotten.length === 0) return
        const ids = forgotten.map(({ id }) => id)
        await db.delete(consumers).where(and(inArray(consumers.id, ids), isForgotten))
      })
    },

    /** It has stopped in order. */
    async remove(id: string): Promise<void> {
      await database.run((db) => db.delete(consumers).where(eq(consumers.id, id)))
    },

    /** The 200 seen last, the latest first. */
    async list() {
      const isAlive = sql`${consumers.seenAt} > ${ago(aliveSeconds)}`.mapWith(Boolean)
      const rows = await database.run((db) =>
        db
          .select({ consumer: consumers, isAlive })
          .from(consumers, { forceIndex: 'consumers_seen' })
          .orderBy(desc(consumers.seenAt))
          .limit(maxListed),
      )
      return rows.map(({ consumer, isAlive: alive }) => ({
        ...consumer,
        alive,
        outages: listOf(consumer.outages),
        executionProviders: listOf(consumer.executionProviders),
      }))
    },
  }
}

function listOf(text: string): string[] {
  return text === '' ? [] : text.split(',')
}
