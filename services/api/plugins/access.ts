import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ApiKey, digestOf, findApiKey, readBearer, type Scope } from '../api-key.ts'
import { sendProblem } from './problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What a key must be good for at a route of the closed part. */
    scope?: Scope
  }
  interface FastifyRequest {
    /** Who asks: a short digest of the key, or `anyone` where keys are not asked for. */
    caller: string
  }
}

/** API keys; `none` lets everyone in. */
export type Auth = { keys: readonly ApiKey[] } | 'none'

/** Digits of the digest by which a caller goes. */
const callerDigits = 16

/** Closes the routes registered after it: each must say its scope, and is answered to holders of a key with it. */
export function closeTo(app: FastifyInstance, auth: Auth): void {
  if (auth !== 'none' && auth.keys.length === 0) throw new Error('Expected at least one API key, or auth none')
  app.decorateRequest('caller', 'anyone')
  app.addHook('onRoute', ({ url, config }) => {
    if (!config?.scope) throw new Error(`Expected config.scope at ${url}, which is closed`)
  })
  if (auth === 'none') return

  app.addHook('onRequest', (request, reply, next) => {
    const token = readBearer(request.headers.authorization)
    const digest = token === undefined ? undefined : digestOf(token)
    const key = digest && findApiKey(auth.keys, digest)
    if (!digest || !key) return void refuse(request, reply)
    const scope = request.routeOptions.config.scope!
    if (!key.scopes.has(scope) && !key.scopes.has('admin')) {
      reply.header('www-authenticate', `Bearer error="insufficient_scope", scope="${scope}"`)
      return void sendProblem(reply, 'FORBIDDEN', { detail: `the key lacks the scope ${scope}` })
    }
    request.caller = digest.toString('hex').slice(0, callerDigits)
    next()
  })
}

/** RFC 6750, section 3: an error is named only to who has shown something. */
function refuse({ headers: { authorization } }: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (authorization === undefined) {
    return sendProblem(reply, 'UNAUTHORIZED', { detail: 'expected Authorization: Bearer <API key>' })
  }
  reply.header('www-authenticate', 'Bearer error="invalid_token"')
  return sendProblem(reply, 'UNAUTHORIZED', { detail: 'the API key is not known' })
}
