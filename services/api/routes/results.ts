import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { Presigner } from '#shared/aws/presign.ts'
import { jobId } from '#shared/contract/key.ts'
import type { Result } from '#shared/contract/result.ts'
import type { FoundJob, Results } from '#shared/db/results.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { readImageKey } from '../image-key.ts'
import { musicUrlParameter, presignMusic } from '../music-url.ts'
import { problemResponse } from '../plugins/problem.ts'
import { resultOf } from '../result.ts'

const path = '/v1/results/'

/** Seconds until an unfinished result is worth asking for again. */
const retryAfter = { least: 1, most: 15, unknown: 2 }

/** `GET /v1/results/<key>`: where the work on a picture stands, and what came of it. */
export function resultRoutes({
  results,
  objects,
  presigner,
  bucket,
}: {
  results: Pick<Results, 'find'>
  objects: Pick<ObjectStore, 'head'>
  presigner: Pick<Presigner, 'get'>
  bucket: string
}): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.get(
      `${path}*`,
      {
        config: { scope: 'read' },
        schema: {
          operationId: 'getResult',
          summary: 'The result by image key',
          description:
            'The key stands in the path as it is or percent-encoded; a `+` is a `+`. Unfinished results come with ' +
            '`Retry-After`. Every result has an `ETag`; the same in `If-None-Match` is answered 304.',
          params: Type.Object({ '*': Type.String({ description: 'The image key, beginning with uploads/' }) }),
          querystring: Type.Object(
            {
              version: Type.Optional(
                Type.String({
                  minLength: 1,
                  maxLength: 1024,
                  description: 'S3 version id, or the etag in an unversioned bucket; the newest when absent',
                }),
              ),
              music_url: musicUrlParameter,
            },
            { additionalProperties: false },
          ),
          headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
          response: {
            200: Type.Ref('Result'),
            304: Type.Null({ description: 'The same as before' }),
            '4xx': problemResponse,
            '5xx': problemResponse,
          },
        },
      },
      async (request, reply) => {
        const key = readImageKey(request.raw.url ?? '', path)
        const { version, music_url: musicUrl } = request.query
        const found = await results.find({ key, version })
        const result = found ? resultOf(found) : await findUpload(key, version, request.signal)
        if (!result) {
          throw new PermanentFailure('RESULT_NOT_FOUND', 'no picture with this key and version has been uploaded')
        }
        // An address that ends cannot be told by an ETag to be good still.
        if (musicUrl && result.music_url) {
          reply.header('cache-control', 'private, no-store')
          return presignMusic(result, presigner)
        }
        const etag = found ? revisionOf(found.job) : `W/"${jobId({ bucket, key, version: result.version! })}"`
        reply.headers({ etag, 'cache-control': 'private, no-cache' })
        if (result.status === 'queued' || result.status === 'processing') {
          reply.header('retry-after', retryAfterSeconds(result))
        }
        if (matches(request.headers['if-none-match'], etag)) return reply.code(304).send(null)
        return result
      },
    )
  }

  /** What is uploaded and not yet received waits on the queue. */
  async function findUpload(key: string, wanted: string | undefined, signal: AbortSignal): Promise<Result | undefined> {
    const found = await objects.head(key, signal)
    if (!found) return undefined
    const version = found.versionId && found.versionId !== 'null' ? found.versionId : found.etag
    return wanted === undefined || wanted === version ? { key, version, status: 'queued' } : undefined
  }
}

/** Changes with everything that a result shows of a job. */
function revisionOf({ id, attempt, state, updatedAt }: FoundJob['job']): string {
  return `W/"${id}-${attempt}-${state}-${updatedAt.getTime()}"`
}

/** Weak comparison, RFC 9110 section 13.1.2. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((each) => each.trim().replace(/^W\//, '') === etag.slice('W/'.length))
}

function retryAfterSeconds({ eta_seconds: eta }: Result): number {
  if (eta === undefined) return retryAfter.unknown
  return Math.min(Math.max(Math.ceil(eta), retryAfter.least), retryAfter.most)
}
