import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type {
  ConnectionError,
  FastifyError,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchemaValidationError,
} from 'fastify'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import type { Problem } from '#shared/contract/result.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import { ClientGone } from '../client-signal.ts'

const problemHeaders = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' }
const retryAfterSeconds = 5
/** Characters of a name that the caller has given. */
const maxNamed = 100

/** Why the router could not read the path. */
const unreadable = new WeakMap<IncomingMessage, FastifyError>()

/** Every error, and every address that is not ours, is answered as RFC 9457 problem details with a code of our own. */
export function answerProblems(app: FastifyInstance): void {
  app.setErrorHandler(answerError)
  // Fastify's own, for bodies that no route takes.
  app.removeContentTypeParser('text/plain')
  app.setNotFoundHandler((request, reply) => {
    const error = unreadable.get(request.raw)
    if (error) return answerError(error, request, reply)
    return sendProblem(reply, 'INVALID_REQUEST', { status: 404, detail: 'there is nothing at this address' })
  })
  // Node would answer an expectation that it does not know by a bare 417, and CONNECT not at all.
  app.server.on('checkExpectation', (request, response) => void app.server.emit('request', request, response))
  app.server.on('connect', (_request, socket: Socket) => answerClientError({ code: 'CONNECT' }, socket))
}

/** A path that the router cannot read is led to where there is nothing, since it would go past all hooks, and their headers. */
export function answerUnreadable(error: FastifyError, { raw, server }: FastifyRequest, reply: FastifyReply): void {
  unreadable.set(raw, error)
  raw.url = '/unreadable'
  server.routing(raw, reply.raw)
}

function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { statusCode: status = 500, message: detail } = error
  if (error instanceof PermanentFailure) return sendProblem(reply, error.code, { detail })
  // Nobody reads it.
  if (error instanceof ClientGone) return sendProblem(reply, 'TIMEOUT', { status: 408 })
  if (status < 500) return sendProblem(reply, 'INVALID_REQUEST', { status, detail })
  // Said quietly: who has too much to do does not write a line for each.
  if (error instanceof RetryableFailure && error.code === 'OVERLOADED')
    return sendProblem(reply, error.code, { detail })
  // Ours to mend, not the caller's: what happened is told to the log alone.
  request.log.error({ err: error, request_id: request.id }, 'request failed')
  if (error instanceof RetryableFailure) return sendProblem(reply, error.code)
  return sendProblem(reply, 'INTERNAL_ERROR')
}

/** `status`: another one than the code's own. `instance`: where the matter itself is. */
export function sendProblem(
  reply: FastifyReply,
  code: ErrorCode,
  {
    status = errorCodes[code].status,
    detail,
    instance,
  }: { status?: number; detail?: string | undefined; instance?: string } = {},
): FastifyReply {
  if (status === 503) reply.header('retry-after', retryAfterSeconds)
  return (
    reply
      .code(status)
      .headers(problemHeaders)
      // Without the route's serializer: a problem may be answered where a route promises none.
      .serializer(JSON.stringify)
      .send({
        ...problemOf(code, status, detail),
        instance: instance ?? `urn:uuid:${reply.request.id}`,
      } satisfies Problem)
  )
}

/** Where it is wrong, as a JSON pointer, what is wrong, and what would be right: `body/seed must be integer`. */
export function describeInvalid(errors: FastifySchemaValidationError[], part: string): Error {
  // Typebox tells first of each unknown property that its schema is false.
  const { instancePath, message, params } = errors.find(({ keyword }) => keyword !== 'boolean') ?? errors[0]!
  const {
    additionalProperty,
    additionalProperties,
    allowedValues: allowed,
  } = params as Partial<Record<string, unknown>>
  const [unknown] = [additionalProperties ?? additionalProperty].flat()
  const named = typeof unknown === 'string' ? `: ${unknown.slice(0, maxNamed)}` : ''
  const choice = Array.isArray(allowed) ? `: ${allowed.join(', ')}` : ''
  return new Error(`${part}${instancePath} ${message}${named}${choice}`)
}

/** What is not HTTP reaches no route, and what is sent too slowly or with too long headers neither. */
export function answerClientError({ code }: Pick<ConnectionError, 'code'>, socket: Socket): void {
  if (code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const problem =
    code === 'HPE_HEADER_OVERFLOW'
      ? problemOf('INVALID_REQUEST', 431, 'the headers are too long')
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? problemOf('TIMEOUT', 408, 'the request did not arrive in time')
        : problemOf('INVALID_REQUEST', 400, 'this is not a request of HTTP/1.1')
  const body = JSON.stringify(problem)
  const headers = { ...problemHeaders, 'content-length': Buffer.byteLength(body), connection: 'close' }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\n${lines.join('')}\r\n${body}`)
  socket.destroySoon()
}

export function problemOf(code: ErrorCode, status: number, detail?: string): Problem {
  const title = status === errorCodes[code].status ? errorCodes[code].title : (STATUS_CODES[status] ?? 'Error')
  return { type: 'about:blank', title, status, code, ...(detail && { detail }) }
}
