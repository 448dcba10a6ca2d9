import { randomUUID } from 'node:crypto'
import { type FastifyPluginAsyncTypebox, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { Presigner } from '#shared/aws/presign.ts'
import { pictureTypes } from '#shared/contract/picture-type.ts'
import { readW3cTraceParent } from '#shared/contract/trace-parent.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { presignedExamples, uploadExample } from '../examples.ts'
import { uploadKey } from '../upload-key.ts'
import { resultPath } from './results.ts'

const expiresInSeconds = 15 * 60

const extensions = new Map(Object.values(pictureTypes).map(({ contentType, extension }) => [contentType, extension]))

export const Upload = Type.Object(
  {
    content_type: Type.Enum([...extensions.keys()], { description: 'Type of the picture' }),
    size_bytes: Type.Optional(
      Type.Integer({ minimum: 1, description: 'Size of the picture, which then is exactly so; PUT cannot do without' }),
    ),
    filename: Type.Optional(
      Type.String({ maxLength: 1024, description: 'What the user calls it; letters and digits of it go into the key' }),
    ),
    method: Type.Optional(
      Type.Enum(['POST', 'PUT'], { default: 'POST', description: 'POST sends a form, PUT the bytes alone' }),
    ),
  },
  { additionalProperties: false, examples: [uploadExample] },
)

const strings = Type.Record(Type.String(), Type.String())
const bounds = {
  expires_at: Type.String({ format: 'date-time', description: 'The upload must begin before' }),
  max_bytes: Type.Integer({ minimum: 1 }),
}

export const PresignedUpload = Type.Object(
  {
    key: Type.String({ description: 'The image key' }),
    result_url: Type.String({ description: 'Path of the result, to poll or to stream from once it is uploaded' }),
    upload: Type.Union([
      Type.Object({ method: Type.Literal('POST'), url: Type.String({ format: 'uri' }), fields: strings, ...bounds }),
      Type.Object({ method: Type.Literal('PUT'), url: Type.String({ format: 'uri' }), headers: strings, ...bounds }),
    ]),
  },
  { description: 'Leave to upload to one key for a while, and where the result will be', examples: presignedExamples },
)

/** `POST /v1/uploads`: leave to upload straight to the bucket for a while, to one key, which is ours to choose. */
export function uploadRoutes({
  presigner,
  maxImageBytes,
}: {
  presigner: Pick<Presigner, 'post' | 'put'>
  maxImageBytes: number
}): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/v1/uploads',
      {
        config: { scope: 'upload', problems: ['IMAGE_TOO_LARGE', 'STORAGE_UNAVAILABLE'] },
        // Takes JSON at its word, where the API's own would make a number of a text or null.
        validatorCompiler: TypeBoxValidatorCompiler,
        schema: {
          operationId: 'createUpload',
          tags: ['Uploads'],
          summary: 'A presigned upload',
          description:
            'Answers with an address to which a picture can be uploaded without credentials. POST: send ' +
            '`multipart/form-data` with all `fields` as they are and then, last, `file`. PUT: send the bytes with all ' +
            '`headers` as they are, and with their length, as every client does by itself. The bucket refuses another ' +
            'key or type, no bytes, more than `max_bytes`, any other size than `size_bytes` where that was given, and ' +
            'everything after `expires_at`; until then, what is uploaded again is another version with a job of its own. ' +
            'It answers 2xx once it has the picture: then ask for `result_url`. A browser may do so from the origins that ' +
            'the bucket is set to allow. A `traceparent` sent here goes with the picture through all that is done to it.',
          body: Upload,
          response: {
            201: { ...PresignedUpload, headers: { location: Type.String({ description: 'As `result_url`' }) } },
          },
        },
      },
      async (request, reply) => {
        const { content_type: contentType, size_bytes: size, filename, method = 'POST' } = request.body
        if (size !== undefined && size > maxImageBytes) {
          throw new PermanentFailure('IMAGE_TOO_LARGE', `at most ${maxImageBytes} bytes are accepted`)
        }
        const key = uploadKey({ id: randomUUID(), now: new Date(), filename, extension: extensions.get(contentType)! })
        const wanted = { key, contentType, metadata: traceOf(request.headers.traceparent), expiresInSeconds }
        const maxBytes = size ?? maxImageBytes
        const { expiresAt, ...upload } =
          method === 'POST'
            ? { method, ...(await presigner.post({ ...wanted, minBytes: size ?? 1, maxBytes })) }
            : { method, ...(await presigner.put({ ...wanted, bytes: sizeOfPut(size) })) }
        const resultUrl = resultPath({ key })
        reply.code(201).header('location', resultUrl)
        return {
          key,
          result_url: resultUrl,
          upload: { ...upload, expires_at: expiresAt.toISOString(), max_bytes: maxBytes },
        }
      },
    )
  }
}

/** A signature bounds the size of a form, but only fixes that of bytes alone. */
function sizeOfPut(size: number | undefined): number {
  if (size === undefined) throw new PermanentFailure('INVALID_REQUEST', 'body/size_bytes is needed for a PUT')
  return size
}

/** What is no trace is left out, as W3C has it. */
function traceOf(header: unknown): Record<string, string> {
  const trace = typeof header === 'string' ? readW3cTraceParent(header) : undefined
  return trace ? { traceparent: `00-${trace.traceId}-${trace.spanId}-${trace.flags}` } : {}
}
