import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import type { Database } from '#shared/db/client.ts'
import { withDeadline } from '#shared/deadline.ts'
import { sendProblem } from '../plugins/problem.ts'

/** Below the time after which load balancers and Kubernetes give up, so that the answer names the part. */
const timeoutMs = 2_000

const isLate = () => new Error(`no answer within ${timeoutMs} ms`)

const Health = Type.Object({ status: Type.Literal('ok') }, { description: 'It is so', examples: [{ status: 'ok' }] })

/** `/healthz`: the process is alive. `/readyz`: the database and the bucket answer. Open to everyone. */
export function healthRoutes({
  database,
  objects,
}: {
  database: Pick<Database, 'ping'>
  objects: Pick<ObjectStore, 'ping'>
}): FastifyPluginAsyncTypebox {
  const parts: { name: string; code: ErrorCode; ping: (signal: AbortSignal) => Promise<void> }[] = [
    { name: 'the database', code: 'DATABASE_UNAVAILABLE', ping: () => database.ping() },
    { name: 'the bucket', code: 'STORAGE_UNAVAILABLE', ping: (signal) => objects.ping(signal) },
  ]

  return async (app) => {
    app.get(
      '/healthz',
      {
        schema: {
          operationId: 'getHealth',
          tags: ['Operation'],
          summary: 'The process is alive',
          response: { 200: Health },
        },
      },
      async () => ({ status: 'ok' as const }),
    )

    app.get(
      '/readyz',
      {
        config: { problems: ['DATABASE_UNAVAILABLE', 'STORAGE_UNAVAILABLE'] },
        schema: {
          operationId: 'getReadiness',
          summary: 'The database and the bucket answer',
          tags: ['Operation'],
          response: { 200: Health },
        },
      },
      async (request, reply) => {
        const answers = await Promise.allSettled(
          parts.map(({ ping }) => withDeadline(ping(request.signal), timeoutMs, isLate)),
        )
        const away = parts.filter((_, index) => answers[index]!.status === 'rejected')
        if (away[0]) {
          const reasons = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []))
          request.log.warn({ err: new AggregateError(reasons, 'not ready') }, 'not ready')
          const names = away.map(({ name }) => name).join(' and ')
          return sendProblem(reply, away[0].code, { detail: `no good answer from ${names}` })
        }
        return { status: 'ok' as const }
      },
    )
  }
}
