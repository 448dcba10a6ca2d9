import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyListenOptions } from 'fastify'
import { type FauxqsServer, startFauxqs } from 'fauxqs'

export const region = 'us-east-1'

/** Larger than the largest picture that the default settings accept, so that the refusal is the consumer's. */
export const maxBodyBytes = 64 * 2 ** 20

/** Starts S3 and SQS, in this process, on a free loopback port. `dir` keeps objects and messages between runs. */
export async function startEmulator({ dir }: { dir?: string | undefined } = {}): Promise<FauxqsServer> {
  // fauxqs always listens on every interface and takes bodies of 11 MiB at most. It makes its Fastify application and
  // begins to listen before it first yields, and Fastify announces each application: so this one is the one to adapt.
  const adapt = (message: unknown) => listenOnLoopback((message as { fastify: FastifyInstance }).fastify)
  subscribe('fastify.initialization', adapt)
  try {
    return await startFauxqs({
      port: 0,
      logger: false,
      defaultRegion: region,
      // Nothing is looked up later: the bridge sees each event as it happens.
      messageSpies: { bufferSize: 0 },
      ...(dir && { dataDir: dir }),
    })
  } finally {
    unsubscribe('fastify.initialization', adapt)
  }
}

function listenOnLoopback(app: FastifyInstance): void {
  app.addHook('onRoute', (route) => {
    route.bodyLimit = maxBodyBytes
  })
  const listen = app.listen.bind(app) as (options: FastifyListenOptions) => Promise<string>
  Object.assign(app, { listen: (options: FastifyListenOptions) => listen({ ...options, host: '127.0.0.1' }) })
}
