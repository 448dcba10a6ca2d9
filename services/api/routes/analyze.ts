import { type FastifyPluginAsyncTypebox, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { isFinal, styleCount } from '#shared/contract/result.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { clientSignal } from '../client-signal.ts'
import { analysisExample } from '../examples.ts'
import { type BucketAddress, readImageUrl } from '../image-url.ts'
import type { Answer, Inquiry } from '../inquiry.ts'
import { accountOf } from '../plugins/access.ts'
import { sendProblem } from '../plugins/problem.ts'
import { resultPath, retryAfterSeconds } from './results.ts'

const waitMs = 60_000

/** What can have become of a job. */
const jobProblems: ErrorCode[] = [
  'IMAGE_NOT_FOUND',
  'IMAGE_TOO_LARGE',
  'IMAGE_TOO_MANY_PIXELS',
  'IMAGE_UNSUPPORTED_TYPE',
  'IMAGE_CORRUPT',
  'IMAGE_EMPTY',
  'GENERATION_FAILED',
  'MODEL_UNAVAILABLE',
  'STORAGE_UNAVAILABLE',
  'DATABASE_UNAVAILABLE',
  'CANCELED',
]

export const Analysis = Type.Object(
  {
    genre: Type.String(),
    styles: Type.Array(Type.String(), { minItems: styleCount, maxItems: styleCount, description: 'The best first' }),
    image_url: Type.String({ format: 'uri' }),
    music_url: Type.String({ format: 'uri' }),
  },
  { description: 'What came of the picture', examples: [analysisExample] },
)

/** `POST /analyze`: the music for a picture that is in the bucket, waiting until it is there. */
export function analyzeRoutes({
  inquiry,
  ...address
}: BucketAddress & { inquiry: Inquiry }): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/analyze',
      {
        config: { scope: 'act', timeoutSeconds: waitMs / 1000 + 20, problems: jobProblems },
        // Takes JSON at its word, where the API's own would make a number of a text or null.
        validatorCompiler: TypeBoxValidatorCompiler,
        schema: {
          operationId: 'analyze',
          tags: ['Actions'],
          summary: 'The genre, styles and music of an uploaded picture, when they are there',
          description:
            'Waits for the work that the upload has begun, for 60 s at most: then 504 with `Location` and `Retry-After` tells ' +
            'where to ask on. Answers for the picture as it is in the bucket now.',
          body: Type.Object(
            {
              image_url: Type.String({
                minLength: 1,
                maxLength: 8192,
                description:
                  'Its address in the bucket, percent-encoded, with or without `versionId`; no other is accepted',
              }),
            },
            { additionalProperties: false, examples: [{ image_url: analysisExample.image_url }] },
          ),
          response: { 200: Analysis },
        },
      },
      async (request, reply) => {
        const wanted = readImageUrl(request.body.image_url, address)
        const signal = clientSignal(reply)
        // Of a picture that was just overwritten, an older version may be all that is received.
        const uploaded = await inquiry.uploadedVersion(wanted, signal)
        const options = { caller: accountOf(request), signal, timeoutMs: waitMs }
        const answer = await inquiry.wait(
          { ...wanted, version: uploaded?.version ?? wanted.version },
          hasEnded,
          options,
        )
        if (!answer) throw new PermanentFailure('IMAGE_NOT_FOUND', 'there is no picture at image_url')
        const { status, error, genre, styles, image_url, music_url, ...rest } = answer.result
        if (error) return sendProblem(reply, error.code, { detail: error.message })
        if (!isFinal(status)) {
          const instance = resultPath(answer.result)
          reply.headers({ location: instance, 'retry-after': retryAfterSeconds(answer.result) })
          return sendProblem(reply, 'TIMEOUT', { detail: `still ${status}: ask for it at ${instance}`, instance })
        }
        if (!genre || !styles || !image_url || !music_url) throw new Error(`Job of ${rest.key} has no analysis`)
        return { genre, styles: styles.map(({ name }) => name), image_url, music_url }
      },
    )
  }
}

function hasEnded({ result }: Answer): boolean {
  return isFinal(result.status)
}
