import { type FastifyPluginAsyncTypebox, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { Queue } from '#shared/aws/queue.ts'
import { isFinal } from '#shared/contract/result.ts'
import { takeOrderOf } from '#shared/contract/take-order.ts'
import type { Orders, Wish } from '#shared/db/orders.ts'
import type { FoundJob } from '#shared/db/results.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { clientSignal } from '../client-signal.ts'
import { orderExample } from '../examples.ts'
import { sendProblem } from '../plugins/problem.ts'
import { resultOf } from '../result.ts'
import { checkImageKey, findUpload, idempotencyHeaders, imageFields, nameVersion } from '../wanted-job.ts'
import { resultPath } from './results.ts'

/** Until something is known of how long the job takes. */
const retryAfterSeconds = 2

export const TakeOrder = Type.Object(
  {
    ...imageFields,
    prompt: Type.Optional(
      Type.String({ minLength: 1, maxLength: 1000, pattern: '\\S', description: 'What the music is like' }),
    ),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 })),
    duration_seconds: Type.Optional(Type.Number({ minimum: 1, maximum: 30 })),
  },
  { additionalProperties: false, examples: [orderExample] },
)

/** `POST /v1/generations`: another take on a picture whose first has succeeded. */
export function generationRoutes({
  orders,
  objects,
  queue,
}: {
  orders: Pick<Orders, 'order'>
  objects: Pick<ObjectStore, 'head'>
  queue: Pick<Queue, 'send'>
}): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/v1/generations',
      {
        config: {
          scope: 'act',
          problems: ['RESULT_NOT_FOUND', 'CONFLICT', [422, 'CONFLICT'], 'DATABASE_UNAVAILABLE', 'STORAGE_UNAVAILABLE'],
        },
        // Takes JSON at its word, where the API's own would make a number of a text or null.
        validatorCompiler: TypeBoxValidatorCompiler,
        schema: {
          operationId: 'generate',
          tags: ['Actions'],
          summary: 'A new take on a picture that has been analysed',
          description:
            'Its genre and styles are those of the first take; what is left out is as in the first, and the seed is another. ' +
            'Answered with the take, queued, and in `Location` with where to poll it. With an `Idempotency-Key` the call ' +
            'may be repeated, after a 503 above all: the same key and body is the same take; the same key and another body is ' +
            'a CONFLICT of status 422. A picture that is not analysed is a CONFLICT of status 409.',
          headers: idempotencyHeaders,
          body: TakeOrder,
          response: {
            202: {
              ...Type.Ref('Result'),
              headers: {
                location: Type.String({ description: 'Where the result of the take is' }),
                'retry-after': Type.Optional(Type.Integer({ description: 'Seconds; absent when the take has ended' })),
              },
            },
          },
        },
      },
      async (request, reply) => {
        const { prompt, duration_seconds: seconds, ...named } = request.body
        checkImageKey(named.key)
        const signal = clientSignal(reply)
        const image = await nameVersion(objects, named, signal)
        const wish = { ...image, prompt: prompt?.trim().toWellFormed(), seconds }
        const orderer = { caller: request.caller, idempotencyKey: request.headers['idempotency-key'] }
        const ordered = await orders.order(wish, orderer)
        if (ordered.outcome === 'reused') {
          const detail = 'this Idempotency-Key has been used for another order'
          return sendProblem(reply, 'CONFLICT', { status: 422, detail })
        }
        if (ordered.outcome !== 'placed') {
          const state = ordered.outcome === 'unknown' ? await stateOfUpload(wish, signal) : ordered.state
          const detail = `a new take needs a first one that has succeeded; the first of this picture is ${state}`
          throw new PermanentFailure('CONFLICT', detail)
        }
        const { job } = ordered.found
        // Also when it was placed before: whoever placed it may not have come to this.
        if (job.state === 'queued') await queue.send(messageOf(job))
        if (!isFinal(job.state)) reply.header('retry-after', retryAfterSeconds)
        reply.code(202).header('location', addressOf(job))
        return resultOf(ordered.found)
      },
    )
  }

  /** Of a picture without a job. Throws PermanentFailure RESULT_NOT_FOUND when there is no such picture either. */
  async function stateOfUpload({ key, version }: Wish, signal: AbortSignal): Promise<'queued'> {
    if (await findUpload(objects, { key, version }, signal)) return 'queued'
    throw new PermanentFailure('RESULT_NOT_FOUND', 'no picture with this key and version has been uploaded')
  }
}

function messageOf({ bucket, imageKey: key, version, take, createdAt }: FoundJob['job']): string {
  return takeOrderOf({ bucket, key, version, take, eventTime: createdAt.toISOString() })
}

function addressOf({ imageKey, version, take }: FoundJob['job']): string {
  return `${resultPath({ key: imageKey, version })}&take=${take}`
}
