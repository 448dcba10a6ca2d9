import { type Call, type Connection, encode } from './connection.ts'
import type { JobState, Result } from './contract.ts'
import { readRetryAfter } from './promenade-error.ts'

export interface Which {
  /** The newest when absent. */
  version?: string | undefined
  /** 0, the first, when absent. */
  take?: number | undefined
  /** `presigned`: `music_url` opens without credentials, for a while. */
  musicUrl?: 'presigned' | undefined
  /** `presigned`: every result has an `image_url`, which opens without credentials, for a while. */
  imageUrl?: 'presigned' | undefined
  signal?: AbortSignal | undefined
}

export interface Current {
  result: Result
  etag: string | undefined
  /** When it is worth asking again; undefined once it has ended. */
  retryAfterSeconds: number | undefined
}

export interface Page {
  results: Result[]
  /** Where the next page begins; undefined on the last. A page may be empty and have a next. */
  nextCursor: string | undefined
}

export interface Filters {
  state?: JobState | undefined
  genre?: string | undefined
  /** One of the five. */
  style?: string | undefined
  /** What the image key begins with. */
  prefix?: string | undefined
  /** Created then or later. */
  since?: Date | string | undefined
  /** Results on a page. */
  limit?: number | undefined
  musicUrl?: 'presigned' | undefined
  imageUrl?: 'presigned' | undefined
  signal?: AbortSignal | undefined
}

/** Asks for results. */
export function createResults({ ask, persist }: Connection) {
  return { result, list, page }

  /** Where the work on a picture stands; undefined when that has not changed since `ifNoneMatch`. */
  function result(key: string, options?: Which & { ifNoneMatch?: undefined }): Promise<Current>
  function result(key: string, options: Which & { ifNoneMatch?: string | undefined }): Promise<Current | undefined>
  async function result(key: string, options: Which & { ifNoneMatch?: string | undefined } = {}) {
    const call = { ...callFor(key, options), headers: { 'if-none-match': options.ifNoneMatch } }
    const { body, headers } = await persist(() => ask<Result | undefined>(call), options.signal)
    return body && { result: body, etag: headers.get('etag') ?? undefined, retryAfterSeconds: readRetryAfter(headers) }
  }

  /** All results for which the filters hold, newest first, a page at a time. */
  async function* list(filters: Filters = {}): AsyncGenerator<Result[], void> {
    let cursor: string | undefined
    do {
      const { results, nextCursor } = await page({ ...filters, cursor })
      yield results
      cursor = nextCursor
    } while (cursor)
  }

  /** One page of that list: for who goes on later, or after a failure. */
  async function page({
    signal,
    since,
    musicUrl,
    imageUrl,
    cursor,
    ...filters
  }: Filters & { cursor?: string | undefined } = {}): Promise<Page> {
    const from = typeof since === 'object' ? since.toISOString() : since
    const query = { ...filters, since: from, music_url: musicUrl, image_url: imageUrl, cursor }
    const call = { path: '/v1/results', query, signal }
    const { body } = await persist(() => ask<{ results: Result[]; next_cursor?: string }>(call), signal)
    return { results: body.results, nextCursor: body.next_cursor }
  }
}

export function callFor(key: string, { version, take, musicUrl, imageUrl, signal }: Which): Call & { query: object } {
  // They would lead to another address before it is even sent.
  if (/(^|\/)\.\.?(\/|$)/.test(key)) throw new TypeError('Expected an image key without "." or ".." between slashes')
  const path = `/v1/results/${key.split('/').map(encode).join('/')}`
  return { path, query: { version, take, music_url: musicUrl, image_url: imageUrl }, signal }
}

export function isFinal({ status }: Result): boolean {
  return status !== 'queued' && status !== 'processing'
}
