import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import { sendProblem } from './problem.ts'

/**
 * What helmet would set and an API needs. Not by helmet itself: @fastify/helmet builds them anew for every response,
 * which halves the requests per second.
 */
const securityHeaders = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
}
/** Unless a route says otherwise, no cache is to keep its answer. */
const defaultHeaders = { ...securityHeaders, 'cache-control': 'no-store' }

const allowedHeaders = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-None-Match',
  'Last-Event-ID',
  'Prefer',
  'Traceparent',
]
const exposedHeaders = [
  'ETag',
  'Link',
  'Location',
  'Preference-Applied',
  'RateLimit',
  'RateLimit-Policy',
  'Retry-After',
  'WWW-Authenticate',
]
/** Browsers keep it no longer than two hours. */
const preflightSeconds = 7_200

/** Headers of every response, and for pages of the origins given the leave to read it. */
export async function setHeaders(app: FastifyInstance, { corsOrigins }: { corsOrigins: string[] }): Promise<void> {
  app.addHook('onRequest', (request, reply, next) => {
    reply.headers(defaultHeaders)
    // Node would answer this with a bare status of its own: see requireHostHeader.
    if (request.headers.host === undefined && request.raw.httpVersion === '1.1') {
      return void sendProblem(reply, 'INVALID_REQUEST', { detail: 'HTTP/1.1 needs a Host header' })
    }
    next()
  })
  if (corsOrigins.length === 0) return
  await app.register(cors, {
    origin: corsOrigins,
    allowedHeaders,
    exposedHeaders,
    maxAge: preflightSeconds,
    strictPreflight: false,
  })
}
