import { and, asc, eq, inArray, lt, lte, sql } from 'drizzle-orm'
import type { FinalState } from '../contract/result.ts'
import type { Database } from './client.ts'
import { type FoundJob, selectJobs } from './results.ts'
import { jobs, webhookDeliveries, webhookEvents } from './schema.ts'

export interface EndedJob {
  state: FinalState
  endedAt: Date
  found: FoundJob
}

/** What is said of an ended job, and which endpoints hear it. */
export interface Announcement {
  payload: string
  endpoints: readonly string[]
}

/** One message to one endpoint, as claimed. */
export interface Delivery {
  id: number
  eventId: number
  payload: string
  /** That have failed. */
  attempts: number
  /** Tells this claim from a later one. */
  leaseUntil: Date
}

export type WebhookQueue = ReturnType<typeof createWebhookQueue>

const fanOutLength = 50
const removalLength = 1_000
const maxErrorLength = 500
/** An end older than this is no news. */
const maxEventDays = 3
/** What nobody has tried for so long since it was due is for an endpoint that is no longer in anyone's settings. */
const maxOverdueDays = 7
const expireEveryMs = 60 * 60 * 1000

const now = sql<Date>`utc_timestamp(3)`
const fromNow = (seconds: number) =>
  sql<Date>`utc_timestamp(3) + interval ${Math.ceil(seconds * 1e3) * 1e3} microsecond`
const daysAgo = (days: number) => sql<Date>`utc_timestamp(3) - interval ${days} day`

const isNews = sql`${webhookEvents.createdAt} > ${daysAgo(maxEventDays)}`.mapWith(Boolean)

/** Only rows are locked that are there, and never the place where a job's end is about to be written. */
const rowsOnly = { isolationLevel: 'read committed' } as const

/**
 * What webhooks are still to tell. Several processes may work at it at once: each event becomes one delivery for each
 * endpoint, and each delivery is with one process at a time, by the database's clock. Throws what `Database.run` throws.
 */
export function createWebhookQueue({
  database,
  leaseSeconds = 60,
}: {
  database: Database
  /** How long a claimed delivery is left to its claimer. */
  leaseSeconds?: number
}) {
  const isHeld = ({ id, leaseUntil }: Delivery) =>
    and(eq(webhookDeliveries.id, id), eq(webhookDeliveries.nextAttemptAt, leaseUntil))
  let expiredAt = Number.NEGATIVE_INFINITY

  return {
    /**
     * Turns the next events into deliveries, in one transaction; true when there may be more. Passed over are events that
     * are too old, and those of jobs that have begun anew since: their next end is told.
     */
    async fanOut(announce: (ended: EndedJob) => Announcement): Promise<boolean> {
      const { id, jobId, state, createdAt } = webhookEvents
      return database.run(async (db) => {
        const next = await db.select({ id }).from(webhookEvents).orderBy(asc(id)).limit(fanOutLength)
        if (next.length === 0) return false
        await db.transaction(async (transaction) => {
          // Another process may be at the same events: who comes second waits here, and finds them gone.
          const events = await transaction
            .select({ id, jobId, state, endedAt: createdAt, isNews })
            .from(webhookEvents)
            .where(inArray(id, idsOf(next)))
            .for('update')
          const ended = events.filter((event) => event.isNews).map((event) => event.jobId)
          const found = ended.length ? await selectJobs(transaction).where(inArray(jobs.id, ended)) : []
          const byId = new Map(found.map((each) => [each.job.id, each]))
          const deliveries = events.flatMap((event) => {
            const of = event.isNews ? byId.get(event.jobId) : undefined
            if (of?.job.state !== event.state) return []
            const { payload, endpoints } = announce({ state: event.state, endedAt: event.endedAt, found: of })
            const delivery = { eventId: event.id, payload, attempts: 0, nextAttemptAt: now, createdAt: now }
            return endpoints.map((endpoint) => ({ ...delivery, endpoint }))
          })
          if (deliveries.length) await transaction.insert(webhookDeliveries).values(deliveries)
          await transaction.delete(webhookEvents).where(inArray(id, idsOf(events)))
        }, rowsOnly)
        return next.length === fanOutLength
      })
    },

    /** Removes events that are too old for anyone; true when there may be more. */
    async discard(): Promise<boolean> {
      const { id } = webhookEvents
      return database.run(async (db) => {
        const next = await db.select({ id, isNews }).from(webhookEvents).orderBy(asc(id)).limit(removalLength)
        const old = next.filter((event) => !event.isNews)
        if (old.length) await db.delete(webhookEvents).where(inArray(id, idsOf(old)))
        return old.length === removalLength
      })
    },

    /** Takes deliveries to one endpoint that are due, the longest due first, for `leaseSeconds`. */
    async claim(endpoint: string, limit: number): Promise<Delivery[]> {
      const { id, eventId, payload, attempts, nextAttemptAt } = webhookDeliveries
      const isDue = lte(nextAttemptAt, now)
      const leaseUntil = fromNow(leaseSeconds).mapWith(nextAttemptAt)
      return database.run(async (db) => {
        const due = await db
          .select({ id })
          .from(webhookDeliveries, { forceIndex: 'webhook_deliveries_due' })
          .where(and(eq(webhookDeliveries.endpoint, endpoint), isDue))
          .orderBy(asc(nextAttemptAt))
          .limit(limit)
        if (due.length === 0) return []
        return db.transaction(async (transaction) => {
          const claimed = await transaction
            .select({ id, eventId, payload, attempts, leaseUntil })
            .from(webhookDeliveries)
            .where(and(inArray(id, idsOf(due)), isDue))
            .for('update')
          if (claimed[0]) {
            await transaction
              .update(webhookDeliveries)
              .set({ nextAttemptAt: claimed[0].leaseUntil })
              .where(inArray(id, idsOf(claimed)))
          }
          return claimed
        }, rowsOnly)
      })
    },

    /** Nothing more is to be sent. */
    async settle({ id }: Delivery): Promise<void> {
      await database.run((db) => db.delete(webhookDeliveries).where(eq(webhookDeliveries.id, id)))
    },

    /** Counts a failed try; the next is due in `seconds`. */
    async retryLater(delivery: Delivery, { seconds, error }: { seconds: number; error: string }): Promise<void> {
      const columns = { attempts: delivery.attempts + 1, lastError: error.slice(0, maxErrorLength).toWellFormed() }
      await database.run((db) =>
        db
          .update(webhookDeliveries)
          .set({ ...columns, nextAttemptAt: fromNow(seconds) })
          .where(isHeld(delivery)),
      )
    },

    /** Leaves to others what was not tried to its end. */
    async giveBack(delivery: Delivery): Promise<void> {
      await database.run((db) => db.update(webhookDeliveries).set({ nextAttemptAt: now }).where(isHeld(delivery)))
    },

    /** Once an hour at most, removes deliveries that nobody tries any more; says how many. */
    async expire(): Promise<number> {
      if (Date.now() - expiredAt < expireEveryMs) return 0
      const { id, nextAttemptAt } = webhookDeliveries
      const isExpired = lt(nextAttemptAt, daysAgo(maxOverdueDays))
      const removed = await database.run(async (db) => {
        const expired = await db.select({ id }).from(webhookDeliveries).where(isExpired).limit(removalLength)
        if (expired.length) await db.delete(webhookDeliveries).where(inArray(id, idsOf(expired)))
        return expired.length
      })
      expiredAt = Date.now()
      return removed
    },
  }
}

function idsOf(rows: readonly { id: number }[]): number[] {
  return rows.map(({ id }) => id)
}
