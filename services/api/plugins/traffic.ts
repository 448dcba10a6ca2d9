import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { sendProblem } from './problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of a route that waits: what its own times all lie below. */
    timeoutSeconds?: number
  }
}

/** How a request ended: nginx's 499 where the client went away before its answer. */
export type Observe = (request: FastifyRequest, ended: { status: number; seconds: number }) => void

const clientGone = 499
/** Answers that one connection may be owed at once. */
const maxOwed = 16
const idleCheckMs = 50
/** From when the server closes, for the rest of a body: well below the grace that a process has by default. */
const bodyGraceMs = 2_000
/** Of a request that is to be answered at once, beyond what the database and the bucket are waited for. */
const timeoutSeconds = 20
const lateCheckMs = 1_000

/**
 * Follows every request to its end, and answers for a handler that takes too long: by one look at all of them, where
 * Fastify's handlerTimeout costs each a timer and a signal of its own, a fifth of the requests per second. Once the server
 * closes, it ends each connection that has none under way, or whose request is still not whole a while later: Node would
 * keep those that have just been opened, or whose request ends after that moment. And it ends a connection that asks again
 * and again without reading what it is answered, of which Node would have all in memory. Returns how many are in flight.
 */
export function watchTraffic(app: FastifyInstance, observe: Observe): () => number {
  /** When they began. */
  const inFlight = new Map<FastifyReply, number>()
  const sockets = new Set<Socket>()
  const owed = new WeakMap<Socket, number>()

  // Before Fastify, which runs no hook for what is no address.
  app.server.prependListener('request', ({ socket }: IncomingMessage, response: ServerResponse) => {
    const count = (owed.get(socket) ?? 0) + 1
    owed.set(socket, count)
    if (count > maxOwed) socket.destroy()
    response.once('close', () => owed.set(socket, owed.get(socket)! - 1))
  })

  app.addHook('onRequest', (request, reply, next) => {
    const { raw } = reply
    // Node still gives out what had come on it, and never says of it that it has closed.
    if (request.raw.socket.destroyed) return
    const begun = performance.now()
    inFlight.set(reply, begun)
    raw.once('close', () => {
      inFlight.delete(reply)
      const status = raw.writableEnded ? raw.statusCode : clientGone
      observe(request, { status, seconds: (performance.now() - begun) / 1000 })
    })
    next()
  })

  app.server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })

  app.addHook('preClose', async () => {
    for (const reply of inFlight.keys()) if (!reply.raw.headersSent) reply.header('connection', 'close')
    if (!app.server.listening) return
    const closedAt = performance.now()
    const timer = setInterval(() => {
      for (const socket of sockets) if (!owed.get(socket)) socket.destroySoon()
      if (performance.now() - closedAt < bodyGraceMs) return
      for (const { request } of inFlight.keys()) if (!request.raw.complete) request.raw.socket.destroySoon()
    }, idleCheckMs)
    app.server.once('close', () => clearInterval(timer))
  })

  const lateCheck = setInterval(() => {
    const now = performance.now()
    for (const [reply, begun] of inFlight) {
      const { config } = reply.request.routeOptions
      // `reply.sent` is not yet true of a stream that is under way.
      const isAnswered = reply.sent || reply.raw.headersSent
      if (isAnswered || now - begun < 1000 * (config.timeoutSeconds ?? timeoutSeconds)) continue
      reply.log.error({ route: config.url, request_id: reply.request.id }, 'a handler took too long')
      sendProblem(reply, 'TIMEOUT')
    }
  }, lateCheckMs).unref()
  app.addHook('onClose', async () => clearInterval(lateCheck))

  return () => inFlight.size
}
