import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Presigner } from '#shared/aws/presign.ts'
import { encodeKey } from '#shared/contract/key.ts'
import { isFinal, type Result } from '#shared/contract/result.ts'
import type { Wanted } from '#shared/db/results.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { clientSignal } from '../client-signal.ts'
import { createEventStream } from '../event-stream.ts'
import { presignedResultExamples, streamExamples } from '../examples.ts'
import { readImageKey } from '../image-key.ts'
import type { Answer, Inquiry } from '../inquiry.ts'
import { accountOf } from '../plugins/access.ts'
import { presignedParameters, presignUrls } from '../presigned-url.ts'
import { isOutdated } from '../result.ts'

const path = '/v1/results/'

/** Seconds until an unfinished result is worth asking for again. */
const retryAfter = { least: 1, most: 15, unknown: 2 }

const maxWaitSeconds = 60
/** Beyond the longest wait, for all that is not waiting. */
const timeoutSeconds = maxWaitSeconds + 20
/** Until the first event of a stream. */
const firstAnswerMs = 10_000

const Query = Type.Object(
  {
    version: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 1024,
        description: 'S3 version id, or the etag in an unversioned bucket; the newest received when absent',
      }),
    ),
    take: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1, description: '0, the first, when absent; others were ordered' }),
    ),
    wait: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: maxWaitSeconds,
        description: 'Seconds to hold the answer until the work has ended, or differs from `If-None-Match`',
      }),
    ),
    ...presignedParameters,
  },
  { additionalProperties: false },
)

const resultHeaders = {
  etag: Type.String({ description: 'Changes whenever the result does; absent from what is presigned and has ended' }),
  'preference-applied': Type.String({ description: 'The wait of `Prefer`' }),
  'retry-after': Type.Integer({
    description: 'Seconds until it is worth asking again; absent once the work has ended',
  }),
}

/** `GET /v1/results/<key>`: where the work on a picture stands, and what came of it. */
export function resultRoutes({
  inquiry,
  presigner,
}: {
  inquiry: Inquiry
  presigner: Pick<Presigner, 'get'>
}): FastifyPluginAsyncTypebox {
  const longestWait = Math.min(maxWaitSeconds, inquiry.maxWaitSeconds)
  return async (app) => {
    app.get(
      `${path}*`,
      {
        config: {
          scope: 'read',
          timeoutSeconds,
          problems: ['RESULT_NOT_FOUND', 'DATABASE_UNAVAILABLE', 'STORAGE_UNAVAILABLE'],
        },
        schema: {
          operationId: 'getResult',
          tags: ['Results'],
          summary: 'The result by image key',
          description:
            'The key stands in the path as it is or percent-encoded; a `+` is a `+`. Unfinished results come with ' +
            '`Retry-After`. Every result has an `ETag`; the same in `If-None-Match` is answered 304. `wait`, or ' +
            '`Prefer: wait=20`, holds the answer. With `Accept: text/event-stream` come `progress` events, each a Result, ' +
            'until one named `end`. After an overwrite, the older version is answered until the newer is received. A key of ' +
            'which very many calls are held is answered 503 to one more of those; without `wait` it is answered still.',
          params: Type.Object({ '*': Type.String({ description: 'The image key, beginning with uploads/' }) }),
          querystring: Query,
          headers: Type.Object({
            'if-none-match': Type.Optional(Type.String()),
            prefer: Type.Optional(Type.String({ description: 'wait=<seconds>, of which 60 at most are applied' })),
            'last-event-id': Type.Optional(Type.String({ description: 'Of the last event that was seen' })),
          }),
          response: {
            200: {
              description: 'The result as it stands',
              headers: resultHeaders,
              content: {
                'application/json': { schema: Type.Ref('Result'), examples: presignedResultExamples },
                'text/event-stream': { schema: Type.String(), examples: streamExamples },
              },
            },
            204: Type.Null({ description: 'No event after the last one seen: do not connect again' }),
            304: { ...Type.Null({ description: 'The same as before' }), headers: resultHeaders },
          },
        },
      },
      async (request, reply) => {
        const { version, take, wait, music_url, image_url } = request.query
        const wanted = { key: readImageKey(pathOf(request), path), version, take }
        const present = (answer: Answer) => presignUrls(answer, { music_url, image_url }, presigner)
        if (request.method === 'GET' && accepts(request, 'text/event-stream')) {
          return stream(wanted, present, request, reply)
        }
        const preferred = wait === undefined ? preferredWait(request.headers.prefer, longestWait) : undefined
        if (preferred !== undefined) reply.header('preference-applied', `wait=${preferred}`)
        const known = request.headers['if-none-match']
        // What was seen at the last look may be older than what another look, or server, has told the client.
        const isEnough = ({ result, revision, etag }: Answer) =>
          isFinal(result.status) || (known !== undefined && !matches(known, etag) && !isOutdated(revision, known))
        const seconds = wait ?? preferred ?? 0
        const ask = (signal: AbortSignal) =>
          seconds > 0
            ? inquiry.wait(wanted, isEnough, { caller: accountOf(request), signal, timeoutMs: seconds * 1000 })
            : inquiry.now(wanted, signal)
        const answer = inquiry.remembered(wanted) ?? (await ask(clientSignal(reply)))
        const found = answer ?? notFound()
        const { result, etag, json } = found
        const isPresigned = image_url !== undefined || (music_url !== undefined && result.music_url !== undefined)
        reply.header('cache-control', isPresigned ? 'private, no-store' : 'private, no-cache')
        // An address that ends cannot be told by an ETag to be good still; while the work goes on, another comes in time.
        if (isPresigned && isFinal(result.status)) return present(found)
        reply.header('etag', etag)
        if (!isFinal(result.status)) reply.header('retry-after', retryAfterSeconds(result))
        if (matches(known, etag)) return withoutBody(reply.code(304))
        if (isPresigned) return present(found)
        return json === undefined ? result : asJson(reply, json)
      },
    )
  }

  async function stream(
    wanted: Wanted,
    present: (answer: Answer) => Promise<Result>,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<FastifyReply> {
    const caller = accountOf(request)
    const waiting = { caller, signal: clientSignal(reply), timeoutMs: firstAnswerMs }
    const first = (await inquiry.wait(wanted, () => true, waiting)) ?? notFound()
    const { 'last-event-id': seen } = request.headers
    let last = typeof seen === 'string' ? seen : undefined
    // Which tells a browser not to come back.
    if (isFinal(first.result.status) && first.revision === last) return withoutBody(reply.code(204))
    /** Each event waits for the one before it, and the end for all of them. */
    let told = Promise.resolve()
    const followed = { ...wanted, version: wanted.version && first.result.version }
    const unfollow = inquiry.follow(followed, tell, { caller, onClose: () => void told.then(() => events.end()) })
    const events = createEventStream({ onEnd: unfollow })
    tell(first)
    return reply
      .headers({
        'content-type': 'text/event-stream',
        'x-accel-buffering': 'no',
      })
      .send(events.stream)

    function tell(answer: Answer): void {
      const { result, revision } = answer
      const isLast = isFinal(result.status)
      if (last !== undefined && (revision === last || (!isLast && isOutdated(revision, last)))) return
      last = revision
      told = told
        .then(() => present(answer))
        .then((data) => {
          events.send({ event: isLast ? 'end' : 'progress', id: revision, data })
          if (isLast) events.end()
        })
        .catch((error: Error) => void events.stream.destroy(error))
    }
  }
}

/** Where a result is asked for. */
export function resultPath({ key, version }: Pick<Result, 'key' | 'version'>): string {
  const address = path + encodeKey(key)
  return version === undefined ? address : `${address}?version=${encodeURIComponent(version)}`
}

export function retryAfterSeconds({ eta_seconds: eta }: Result): number {
  if (eta === undefined) return retryAfter.unknown
  return Math.min(Math.max(Math.ceil(eta), retryAfter.least), retryAfter.most)
}

/** As it was sent, but for the origin that a proxy is asked with: RFC 9112, section 3.2.2. */
function pathOf({ raw: { url = '' } }: FastifyRequest): string {
  return url.replace(/^https?:\/\/[^/]*/i, '')
}

function notFound(): never {
  throw new PermanentFailure('RESULT_NOT_FOUND', 'no picture with this key and version has been uploaded')
}

/** Weak comparison, RFC 9110 section 13.1.2. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  if (ifNoneMatch === etag || ifNoneMatch.trim() === '*') return true
  return ifNoneMatch.split(',').some((each) => each.trim().replace(/^W\//, '') === etag.slice('W/'.length))
}

/** Seconds, RFC 7240 section 4.3; what is not a number is no preference. */
function preferredWait(prefer: string | undefined, most: number): number | undefined {
  const seconds = prefer?.match(/(?:^|,)\s*wait\s*=\s*"?(\d+)"?\s*(?:[,;]|$)/i)?.[1]
  return seconds === undefined ? undefined : Math.min(Number(seconds), most)
}

function accepts({ headers }: FastifyRequest, type: string): boolean {
  const ranges = (headers.accept ?? '').toLowerCase().split(',')
  return ranges.some((range) => {
    const [name, ...parameters] = range.split(';').map((each) => each.trim())
    return name === type && !parameters.some((each) => /^q=0(\.0*)?$/.test(each))
  })
}

/** And so without the length of one. */
function withoutBody(reply: FastifyReply): FastifyReply {
  return reply.send()
}

/** What has been made JSON of before, as the route's own serializer does. */
function asJson(reply: FastifyReply, json: string): FastifyReply {
  return reply.type('application/json; charset=utf-8').serializer(String).send(json)
}
