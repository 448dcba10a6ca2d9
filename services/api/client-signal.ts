import type { FastifyReply } from 'fastify'

/** Why there is nobody left to answer. */
export class ClientGone extends Error {
  override name = 'ClientGone'
}

/**
 * Aborted when the client goes away before it is answered. `request.signal` is aborted as soon as a request with a body
 * has been read.
 */
export function clientSignal({ raw }: FastifyReply): AbortSignal {
  const gone = new AbortController()
  raw.once('close', () => {
    if (!raw.writableFinished) gone.abort(new ClientGone('The client has gone away'))
  })
  return gone.signal
}
