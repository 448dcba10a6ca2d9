import { and, count, desc, eq, gte, inArray, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import type { MySqlColumn } from 'drizzle-orm/mysql-core'
import type { JobState } from '../contract/result.ts'
import type { Drizzle } from './client.ts'
import { artLabels, jobs } from './schema.ts'

/** All of them must hold. */
export interface ListFilters {
  state?: JobState | undefined
  genre?: string | undefined
  /** One of the five. */
  style?: string | undefined
  /** Of the image key. */
  prefix?: string | undefined
  since?: Date | undefined
}

/** A job's place in the list: by time, then by id, the greatest first. */
export interface ListPosition {
  createdAt: Date
  id: string
}

export interface ListQuery {
  filters: ListFilters
  /** Where the page before ended. */
  after?: ListPosition | undefined
  limit: number
}

/** A piece of the list, and the filters that it does not keep to yet. */
interface Slice {
  positions: ListPosition[]
  isEnd: boolean
  rest: ListFilters
}

/** Jobs looked at for one page, at most. MariaDB makes a subquery of a list of 1,000 or more. */
const maxExamined = 900

/** Pictures of one prefix that are put in order for each page, at most. */
const maxOfPrefix = 5_000

/**
 * Which jobs a page holds, newest first; `next` is where it ends, absent at the end of the list. However rare what the filters
 * ask for, what a page reads is bounded: it may hold fewer than `limit`, even none, and there still is a next one. What
 * comes in meanwhile is newer, and moves no page. Each statement names the index that it goes along.
 */
export async function findPage(db: Drizzle, query: ListQuery) {
  const { positions, isEnd, rest } = (await sliceByKey(db, query)) ?? (await sliceByTime(db, query))
  const wanted = await keep(db, positions, rest)
  const page = wanted.slice(0, query.limit)
  return { page, next: wanted.length > query.limit ? page.at(-1) : isEnd ? undefined : positions.at(-1) }
}

/** The next of a prefix, all of it put in order; undefined when that is too much. */
async function sliceByKey(db: Drizzle, { filters, after, limit }: ListQuery): Promise<Slice | undefined> {
  const { prefix, since, ...rest } = filters
  if (prefix === undefined) return undefined
  const all = db
    .select({ createdAt: jobs.createdAt, id: jobs.id })
    .from(jobs, { forceIndex: 'jobs_image_key' })
    .where(startsWith(prefix))
    .limit(maxOfPrefix + 1)
    .as('of_prefix')
  const [found] = await db.select({ count: count() }).from(all)
  if (found!.count > maxOfPrefix) return undefined
  const most = sliceLength(rest, limit)
  const positions = await db
    .select({ createdAt: all.createdAt, id: all.id })
    .from(all)
    .where(within(all.createdAt, all.id, since, after))
    .orderBy(desc(all.createdAt), desc(all.id))
    .limit(most)
  return { positions, isEnd: positions.length < most, rest }
}

/** The next along an index that is in the order of the list: of a genre, else of a style, of a state, or of all. */
async function sliceByTime(db: Drizzle, { filters, after, limit }: ListQuery): Promise<Slice> {
  const { since, ...others } = filters
  const kind = (['genre', 'style', 'state'] as const).find((each) => others[each] !== undefined)
  const rest = { ...others, ...(kind && { [kind]: undefined }) }
  const most = sliceLength(rest, limit)
  const positions =
    kind === 'genre' || kind === 'style'
      ? await db
          .select({ createdAt: artLabels.createdAt, id: artLabels.jobId })
          .from(artLabels, { forceIndex: 'PRIMARY' })
          .where(and(labelIs(kind, others[kind]!), within(artLabels.createdAt, artLabels.jobId, since, after)))
          .orderBy(desc(artLabels.createdAt), desc(artLabels.jobId))
          .limit(most)
      : await db
          .select({ createdAt: jobs.createdAt, id: jobs.id })
          .from(jobs, { forceIndex: kind ? 'jobs_state_created' : 'jobs_created' })
          .where(and(stateIs(others.state), within(jobs.createdAt, jobs.id, since, after)))
          .orderBy(desc(jobs.createdAt), desc(jobs.id))
          .limit(most)
  return { positions, isEnd: positions.length < most, rest }
}

/** One more than the page shows that there is a next one. */
function sliceLength(rest: ListFilters, limit: number): number {
  return Object.values(rest).some((value) => value !== undefined) ? maxExamined : limit + 1
}

/** Those of a slice that the other filters leave, in its order. */
async function keep(db: Drizzle, positions: ListPosition[], rest: ListFilters): Promise<ListPosition[]> {
  const { genre, style, state, prefix } = rest
  let ids = positions.map(({ id }) => id)
  if (genre !== undefined && ids.length) ids = await labelled(db, ids, labelIs('genre', genre))
  if (style !== undefined && ids.length) ids = await labelled(db, ids, labelIs('style', style))
  if ((state !== undefined || prefix !== undefined) && ids.length) {
    const rows = await db
      .select({ id: jobs.id })
      .from(jobs, { forceIndex: 'PRIMARY' })
      .where(and(inArray(jobs.id, ids), stateIs(state), prefix === undefined ? undefined : startsWith(prefix)))
    ids = rows.map(({ id }) => id)
  }
  const kept = new Set(ids)
  return positions.filter(({ id }) => kept.has(id))
}

async function labelled(db: Drizzle, ids: string[], label: SQL | undefined): Promise<string[]> {
  const rows = await db
    .select({ id: artLabels.jobId })
    .from(artLabels, { forceIndex: 'art_labels_job' })
    .where(and(inArray(artLabels.jobId, ids), label))
  return rows.map(({ id }) => id)
}

function labelIs(kind: 'genre' | 'style', name: string): SQL | undefined {
  return and(eq(artLabels.kind, kind), eq(artLabels.name, name))
}

function stateIs(state: JobState | undefined): SQL | undefined {
  return state && eq(jobs.state, state)
}

/** Not by comparing rows, for which MySQL uses no index. */
function within(
  time: MySqlColumn,
  id: MySqlColumn,
  since: Date | undefined,
  after: ListPosition | undefined,
): SQL | undefined {
  return and(
    since && gte(time, since),
    after && and(lte(time, after.createdAt), or(lt(time, after.createdAt), lt(id, after.id))),
  )
}

/** By the bytes: a range of the index. No byte of UTF-8 is the greatest there is. */
function startsWith(prefix: string): SQL | undefined {
  const end = Buffer.from(prefix)
  end[end.length - 1]! += 1
  return and(gte(jobs.imageKey, prefix), sql`${jobs.imageKey} < ${end}`)
}
