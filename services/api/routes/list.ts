import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { Presigner } from '#shared/aws/presign.ts'
import { jobStates } from '#shared/contract/result.ts'
import type { Results } from '#shared/db/results.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { resultExamples } from '../examples.ts'
import { cursorPattern, latestTime, readCursor, writeCursor } from '../list-cursor.ts'
import { presignedParameters, presignUrls } from '../presigned-url.ts'
import { resultOf } from '../result.ts'

const path = '/v1/results'

const label = { minLength: 1, maxLength: 100 }

const Query = Type.Object(
  {
    state: Type.Optional(Type.Enum([...jobStates])),
    genre: Type.Optional(Type.String(label)),
    style: Type.Optional(Type.String({ ...label, description: 'One of the five' })),
    prefix: Type.Optional(
      Type.String({ minLength: 1, maxLength: 1024, description: 'What the image key begins with' }),
    ),
    since: Type.Optional(Type.String({ format: 'date-time', description: 'Created then or later' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 20, description: 'Results on a page' })),
    cursor: Type.Optional(Type.String({ pattern: cursorPattern, description: '`next_cursor` of the page before' })),
    ...presignedParameters,
  },
  { additionalProperties: false },
)

const Page = Type.Object(
  {
    results: Type.Array(Type.Ref('Result')),
    next_cursor: Type.Optional(Type.String({ description: 'Absent on the last page' })),
  },
  {
    description: 'A page of the list',
    examples: [{ results: [resultExamples.processing, resultExamples.succeeded], next_cursor: 'bmV4dA' }],
  },
)

/** `GET /v1/results`: every take on every picture, newest first, a page at a time. */
export function listRoutes({
  results,
  presigner,
}: {
  results: Pick<Results, 'list'>
  presigner: Pick<Presigner, 'get'>
}): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      path,
      {
        config: { scope: 'read', problems: ['DATABASE_UNAVAILABLE'] },
        schema: {
          operationId: 'listResults',
          tags: ['Results'],
          summary: 'The results, newest first',
          description:
            'Every take on every version of a picture, for which all filters hold. While there may be more, the answer has ' +
            '`next_cursor`, and `Link` the address of the next page; a page may hold fewer results than `limit`, even ' +
            'none, and have a next one: where few of many match, the looking is spread over pages. A cursor is for the ' +
            'filters that it came with.',
          querystring: Query,
          response: {
            200: { ...Page, headers: { link: Type.String({ description: 'The next page, if there may be one' }) } },
          },
        },
      },
      async ({ query }, reply) => {
        const { limit = 20, cursor, music_url, image_url, since, ...others } = query
        const filters = { ...others, since: since === undefined ? undefined : readTime(since) }
        const after = cursor === undefined ? undefined : readCursor(cursor, filters)
        const { found, next } = await results.list({ filters, after, limit })
        const page = found.map((each) => {
          const shown = { result: resultOf(each), versionId: each.job.versionId }
          return presignUrls(shown, { music_url, image_url }, presigner)
        })
        reply.header('cache-control', 'private, no-store')
        const answer = { results: await Promise.all(page) }
        if (!next) return answer
        const nextCursor = writeCursor(next, filters)
        reply.header('link', `<${path}?${nextQuery(query, nextCursor)}>; rel="next"`)
        return { ...answer, next_cursor: nextCursor }
      },
    )
  }
}

function nextQuery(query: Record<string, string | number>, cursor: string): URLSearchParams {
  const parameters = Object.entries({ ...query, cursor })
  return new URLSearchParams(parameters.map(([name, value]): [string, string] => [name, String(value)]))
}

/** RFC 3339 has seconds that Date has not, and offsets lead out of the years of the database. */
function readTime(text: string): Date {
  const time = Date.parse(text)
  if (!(time >= 0 && time < latestTime)) {
    throw new PermanentFailure('INVALID_REQUEST', 'querystring/since must be a time from 1970 to 9999')
  }
  return new Date(time)
}
