import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ApiKey, digestOf, findApiKey, readBearer, type Scope } from '../api-key.ts'
import { createRateLimit } from '../rate-limit.ts'
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

export interface AccessOptions {
  /** API keys; `none` lets everyone in. */
  auth: { keys: readonly ApiKey[] } | 'none'
  /** Of one key, or of one address where keys are not asked for; 0 for as many as they like. */
  requestsPerMinute: number
  /** Milliseconds. */
  now?: () => number
}

const anyone = 'anyone'
/** Digits of the digest by which a caller goes. */
const callerDigits = 16
/** Different unknown keys from one address, until it has to wait. One and the same again is no guess. */
const guessesPerMinute = 20

/** The name that requests are counted by: the caller's, or the address where keys are not asked for. */
export function accountOf(request: FastifyRequest): string {
  return request.caller === anyone ? request.ip : request.caller
}

/** Who may ask for what, and how often. */
export function createAccess({ auth, requestsPerMinute, now = () => performance.now() }: AccessOptions) {
  if (auth !== 'none' && auth.keys.length === 0) throw new Error('Expected at least one API key, or auth none')
  const requests = createRateLimit({ limit: requestsPerMinute, now })
  const policy = `"minute";q=${requestsPerMinute};w=60`
  const guesses = createRateLimit({ limit: guessesPerMinute, now })
  const unknownKeys = createRateLimit({ limit: 1, now })

  return {
    /** Closes the routes registered after it: each must say its scope, and is answered to holders of a key with it. */
    close(app: FastifyInstance): void {
      app.decorateRequest('caller', anyone)
      app.addHook('onRoute', ({ url, config }) => {
        if (!config?.scope) throw new Error(`Expected config.scope at ${url}, which is closed`)
      })
      app.addHook('onRequest', (request, reply, next) => {
        if (mayPass(request, reply)) next()
      })
    },
  }

  /** False: it has been answered why not. */
  function mayPass(request: FastifyRequest, reply: FastifyReply): boolean {
    if (auth === 'none') return isInTime(request, reply)
    const { authorization } = request.headers
    // RFC 6750, section 3: an error is named only to who has shown something.
    if (authorization === undefined) {
      return refuse(reply, 'Bearer', 'UNAUTHORIZED', 'expected Authorization: Bearer <API key>')
    }
    const digest = digestOf(readBearer(authorization) ?? '')
    const key = findApiKey(auth.keys, digest)
    const caller = digest.toString('hex').slice(0, callerDigits)
    if (!key) {
      // Known keys pass all the same: one stranger behind the same proxy must not shut out everyone.
      const { remaining, resetSeconds } = guesses.look(request.ip)
      if (remaining === 0) return slowDown(reply, resetSeconds, 'too many unknown API keys from this address')
      if (!unknownKeys.take(`${request.ip} ${caller}`).isOver) guesses.take(request.ip)
      return refuse(reply, 'Bearer error="invalid_token"', 'UNAUTHORIZED', 'the API key is not known')
    }
    request.caller = caller
    const scope = request.routeOptions.config.scope!
    if (!key.scopes.has(scope) && !key.scopes.has('admin')) {
      const challenge = `Bearer error="insufficient_scope", scope="${scope}"`
      return refuse(reply, challenge, 'FORBIDDEN', `the key lacks the scope ${scope}`)
    }
    return isInTime(request, reply)
  }

  function isInTime(request: FastifyRequest, reply: FastifyReply): boolean {
    if (requestsPerMinute === 0) return true
    const { isOver, remaining, resetSeconds } = requests.take(accountOf(request))
    reply.header('ratelimit-policy', policy)
    reply.header('ratelimit', `"minute";r=${remaining};t=${resetSeconds}`)
    return !isOver || slowDown(reply, resetSeconds, `at most ${requestsPerMinute} requests a minute`)
  }
}

function slowDown(reply: FastifyReply, seconds: number, detail: string): false {
  sendProblem(reply.header('retry-after', seconds), 'RATE_LIMITED', { detail })
  return false
}

function refuse(reply: FastifyReply, challenge: string, code: 'UNAUTHORIZED' | 'FORBIDDEN', detail: string): false {
  sendProblem(reply.header('www-authenticate', challenge), code, { detail })
  return false
}
