import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { bucketCors } from '#shared/contract/bucket-cors.ts'

const loopbackOrigin = /^http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/
const vary = 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method'

/** Answers pages of this machine as S3 does with the bucket's rule, and has answers say that a part may be asked for. */
export function answerPages(app: FastifyInstance): void {
  for (const url of ['/:bucket', '/:bucket/*']) app.options(url, preflight)
  app.addHook('onSend', async ({ method, headers, routeOptions }, reply) => {
    if (!routeOptions.url?.startsWith('/:bucket')) return
    if ((method === 'GET' || method === 'HEAD') && reply.statusCode < 300) reply.header('accept-ranges', 'bytes')
    if (method !== 'OPTIONS' && isAllowed(headers.origin, method)) allow(reply, headers.origin!)
  })
}

async function preflight({ headers }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { origin, 'access-control-request-method': method } = headers
  if (!origin || !method)
    return refuse(reply, 400, 'BadRequest', 'Insufficient information. Origin request header needed.')
  const names = (headers['access-control-request-headers'] ?? '').split(',').map((name) => name.trim().toLowerCase())
  const asked = names.filter(Boolean)
  if (!isAllowed(origin, method) || !asked.every(isAllowedHeader)) {
    return refuse(reply, 403, 'AccessForbidden', 'CORSResponse: This CORS request is not allowed.')
  }
  if (asked.length) reply.header('access-control-allow-headers', asked.join(', '))
  return allow(reply, origin).send()
}

function isAllowed(origin: string | undefined, method: string): boolean {
  return loopbackOrigin.test(origin ?? '') && bucketCors.allowedMethods.some((each) => each === method)
}

function isAllowedHeader(name: string): boolean {
  return bucketCors.allowedHeaders.some((each) =>
    each.endsWith('*') ? name.startsWith(each.slice(0, -1)) : name === each,
  )
}

function allow(reply: FastifyReply, origin: string): FastifyReply {
  return reply.headers({
    'access-control-allow-origin': origin,
    'access-control-allow-methods': bucketCors.allowedMethods.join(', '),
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': bucketCors.exposedHeaders.join(', '),
    'access-control-max-age': String(bucketCors.maxAgeSeconds),
    vary,
  })
}

function refuse(reply: FastifyReply, status: number, code: string, message: string): FastifyReply {
  return reply
    .code(status)
    .type('application/xml')
    .send(`<Error><Code>${code}</Code><Message>${message}</Message></Error>`)
}
