import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import type { Database } from '#shared/db/client.ts'
import { withDeadline } from '#shared/deadline.ts'
import { sendProblem } from '../plugins/problem.ts'
import { readTogether } from '../read-together.ts'

/** Below the time after which load balancers and Kubernetes give up, so that the answer names the part. */
const timeoutMs = 2_000

/** However many ask, each part is looked at once in this time. */
const keptMs = 1_000

const isLate = () => new Error(`no answer within ${timeoutMs} ms`)

const Health = Type.Object({ status: Type.Literal('ok') }, { description: 'It is so', examples: [{ status: 'ok' }] })

/** `/healthz`: the process is alive. `/readyz`: the database and the bucket answer. Open to everyone. */
export function healthRoutes({
  database,
  objects,
  now,
}: {
  database: Pick<Database, 'ping'>
  objects: Pick<ObjectStore, 'ping'>
  /** Milliseconds. */
  now?: () => number
}): FastifyPluginAsyncTypebox {
  const parts: { name: string; code: ErrorCode; ping: () => Promise<void> }[] = [
    { name: 'the database', code: 'DATABASE_UNAVAILABLE', ping: () => database.ping() },
    { name: 'the bucket', code: 'STORAGE_UNAVAILABLE', ping: () => objects.ping(AbortSignal.timeout(timeoutMs)) },
  ]

  return async (app) => {
    let lastAway = ''

    /** What is away; it is logged when that changes. */
    const look = readTogether(
      async () => {
        const answers = await Promise.allSettled(parts.map(({ ping }) => withDeadline(ping(), timeoutMs, isLate)))
        const away = parts.filter((_, index) => answers[index]!.status === 'rejected')
        const names = away.map(({ name }) => name).join(' and ')
        if (names !== lastAway) {
          const reasons = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason] : []))
          if (names) app.log.warn({ err: new AggregateError(reasons, 'not ready') }, 'not ready')
          else app.log.info('ready again')
        }
        lastAway = names
        return away[0] && { code: away[0].code, names }
      },
      { keptMs, now },
    )

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
          description: 'The answer may be a second old.',
          tags: ['Operation'],
          response: { 200: Health },
        },
      },
      async (_request, reply) => {
        const away = await look()
        if (away) return sendProblem(reply, away.code, { detail: `no good answer from ${away.names}` })
        return { status: 'ok' as const }
      },
    )
  }
}
