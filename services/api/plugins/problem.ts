import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import type { Problem } from '#shared/contract/result.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'

/** For the responses of a route's schema. */
export const problemResponse = {
  description: 'A problem, with a stable code',
  content: { 'application/problem+json': { schema: Type.Ref('Problem') } },
}

const retryAfterSeconds = 5

/** Every error, and every address that is not ours, is answered as RFC 9457 problem details with a code of our own. */
export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((_request, reply) =>
    sendProblem(reply, 'INVALID_REQUEST', { status: 404, detail: 'there is nothing at this address' }),
  )
}

export function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { statusCode: status = 500, code, message: detail } = error
  if (error instanceof PermanentFailure) return sendProblem(reply, error.code, { detail })
  if (status === 401) return sendProblem(reply, 'UNAUTHORIZED', { detail })
  if (status < 500) return sendProblem(reply, 'INVALID_REQUEST', { status, detail })
  // Ours to mend, not the caller's: what happened is told to the log alone.
  request.log.error({ err: error }, 'request failed')
  if (error instanceof RetryableFailure) return sendProblem(reply, error.code)
  return sendProblem(reply, code === 'FST_ERR_HANDLER_TIMEOUT' ? 'TIMEOUT' : 'INTERNAL_ERROR')
}

/** `status`: another one than the code's own. */
export function sendProblem(
  reply: FastifyReply,
  code: ErrorCode,
  { status = errorCodes[code].status, detail }: { status?: number; detail?: string } = {},
): FastifyReply {
  const title = status === errorCodes[code].status ? errorCodes[code].title : (STATUS_CODES[status] ?? 'Error')
  const problem: Problem = { type: 'about:blank', title, status, code, ...(detail && { detail }) }
  if (status === 401) reply.header('www-authenticate', 'Bearer')
  if (status === 503) reply.header('retry-after', retryAfterSeconds)
  return (
    reply
      .code(status)
      .headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
      // Without the route's serializer: a problem may be answered where a route promises none.
      .serializer(JSON.stringify)
      .send(problem)
  )
}
