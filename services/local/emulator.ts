import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { FastifyInstance, FastifyListenOptions, FastifyReply, FastifyRequest } from 'fastify'
import { type FauxqsServer, startFauxqs } from 'fauxqs'
import pLimit from 'p-limit'
import { answerPages } from './bucket-cors.ts'

export const region = 'us-east-1'

/** Larger than the largest picture that the default settings accept, so that the refusal is the consumer's. */
export const maxBodyBytes = 64 * 2 ** 20

/** Starts S3 and SQS, in this process, on a free loopback port. `dir` keeps objects and messages between runs. */
export async function startEmulator({ dir }: { dir?: string | undefined } = {}): Promise<FauxqsServer> {
  // fauxqs always listens on every interface, takes bodies of 11 MiB at most, overwrites whatever a PUT says and refuses pages.
  // It makes its Fastify application and begins to listen before it first yields, and Fastify announces each application: so
  // this one is the one to adapt.
  const adapt = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance }
    listenOnLoopback(fastify)
    keepWhatIsThere(fastify)
    answerPages(fastify)
  }
  subscribe('fastify.initialization', adapt)
  try {
    const emulator = await startFauxqs({
      port: 0,
      logger: false,
      defaultRegion: region,
      // Nothing is looked up later: the bridge sees each event as it happens.
      messageSpies: { bufferSize: 0 },
      ...(dir && { dataDir: dir }),
    })
    if (dir) keepWhatIsGivenBack(join(dir, 'fauxqs.db'))
    return emulator
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

/** `If-None-Match: *`, as S3 has it: 412 where there is an object already. One such PUT at a time, so that one of two is first. */
function keepWhatIsThere(app: FastifyInstance): void {
  const oneAtATime = pLimit(1)
  app.addHook('onRoute', (route) => {
    if (route.method !== 'PUT' || route.url !== '/:bucket/*') return
    const put = route.handler as (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
    route.handler = async (request, reply) => {
      if (request.headers['if-none-match'] !== '*') return put(request, reply)
      return oneAtATime(async () => {
        const { statusCode } = await app.inject({ method: 'HEAD', url: request.url })
        if (statusCode === 404) return put(request, reply)
        const error = '<Error><Code>PreconditionFailed</Code><Message>There is such an object</Message></Error>'
        return reply.code(412).type('application/xml').send(error)
      })
    }
  })
}

/**
 * Of a message that is given back fauxqs writes that it was received NULL times, which its own table refuses, and by then the
 * message is out of its memory: gone. Here the table takes it for what it means.
 */
function keepWhatIsGivenBack(path: string): void {
  const database = new DatabaseSync(path)
  database.exec(`CREATE TRIGGER IF NOT EXISTS given_back BEFORE UPDATE ON sqs_messages
    WHEN NEW.approximate_receive_count IS NULL
    BEGIN
      UPDATE sqs_messages SET receipt_handle = NULL, visibility_deadline = NULL WHERE message_id = OLD.message_id;
      SELECT RAISE(IGNORE);
    END`)
  database.close()
}
