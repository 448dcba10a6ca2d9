import { type FastifyPluginAsyncTypebox, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { Orders } from '#shared/db/orders.ts'
import type { FoundJob, Wanted } from '#shared/db/results.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { clientSignal } from '../client-signal.ts'
import { cancellationExample } from '../examples.ts'
import { resultOf } from '../result.ts'
import { checkImageKey, findUpload, idempotencyHeaders, imageFields, nameVersion } from '../wanted-job.ts'

export const Cancellation = Type.Object(
  {
    ...imageFields,
    take: Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1, description: '0, the first, when absent' })),
  },
  { additionalProperties: false, examples: [cancellationExample] },
)

/** `POST /v1/cancellations`: a job that has not ended ends as canceled. */
export function cancellationRoutes({
  orders,
  objects,
  onCanceled,
}: {
  orders: Pick<Orders, 'cancel' | 'cancelUpload'>
  objects: Pick<ObjectStore, 'head'>
  /** Whoever waits for an end need not wait for the next look. */
  onCanceled: () => void
}): FastifyPluginAsyncTypebox {
  return async (app) => {
    app.post(
      '/v1/cancellations',
      {
        config: {
          scope: 'act',
          problems: ['RESULT_NOT_FOUND', 'CONFLICT', 'DATABASE_UNAVAILABLE', 'STORAGE_UNAVAILABLE'],
        },
        // Takes JSON at its word, where the API's own would make a number of a text or null.
        validatorCompiler: TypeBoxValidatorCompiler,
        schema: {
          operationId: 'cancel',
          tags: ['Actions'],
          summary: 'Stop a queued or running job',
          description:
            'Nothing is recorded of it after that; music that is stored already stays, with no result that names it. ' +
            'Repeated, it is answered the same. A job that has succeeded or failed is a CONFLICT. Without `version` it is what ' +
            'was uploaded last, also when that has not been received.',
          headers: idempotencyHeaders,
          body: Cancellation,
          response: { 200: Type.Ref('Result') },
        },
      },
      async (request, reply) => {
        checkImageKey(request.body.key)
        const signal = clientSignal(reply)
        const found = await cancel(await nameVersion(objects, request.body, signal), signal)
        if (!found) throw new PermanentFailure('RESULT_NOT_FOUND', 'there is no such picture, or no such take on it')
        const { state } = found.job
        if (state !== 'canceled') {
          throw new PermanentFailure('CONFLICT', `only a job that has not ended can be canceled; this one is ${state}`)
        }
        onCanceled()
        return resultOf(found)
      },
    )
  }

  async function cancel(wanted: Wanted, signal: AbortSignal): Promise<FoundJob | undefined> {
    const { version, take = 0 } = wanted
    // Its event may not have come, while an older version has a job.
    const newest = version === undefined && take === 0 ? await findUpload(objects, wanted, signal) : undefined
    const found = await orders.cancel({ ...wanted, version: newest?.version ?? version })
    if (found || take > 0) return found
    const upload = newest ?? (await findUpload(objects, wanted, signal))
    return upload && orders.cancelUpload(upload)
  }
}
