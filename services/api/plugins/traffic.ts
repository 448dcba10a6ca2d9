import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** How a request ended: nginx's 499 where the client went away before its answer. */
export type Observe = (request: FastifyRequest, ended: { status: number; seconds: number }) => void

const clientGone = 499
const idleCheckMs = 50

/**
 * Follows every request to its end. Once the server closes, it ends each connection that has none under way: Node would
 * keep those that have just been opened, or whose request ends after that moment. Returns how many are in flight.
 */
export function watchTraffic(app: FastifyInstance, observe: Observe): () => number {
  const inFlight = new Set<FastifyReply>()
  const sockets = new Set<Socket>()

  app.addHook('onRequest', (request, reply, next) => {
    const { raw } = reply
    const begun = performance.now()
    inFlight.add(reply)
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
    for (const reply of inFlight) if (!reply.raw.headersSent) reply.header('connection', 'close')
    if (!app.server.listening) return
    const timer = setInterval(() => {
      const busy = new Set(Array.from(inFlight, ({ raw }) => raw.socket))
      for (const socket of sockets) if (!busy.has(socket)) socket.destroySoon()
    }, idleCheckMs)
    app.server.once('close', () => clearInterval(timer))
  })

  return () => inFlight.size
}
