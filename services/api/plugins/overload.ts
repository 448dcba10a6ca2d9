import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { RetryableFailure } from '#shared/failure.ts'
import { sendProblem } from './problem.ts'

interface OverloadOptions {
  /** Of those in flight, the ones that wait for something to happen, which costs next to nothing and has its own bound. */
  waiting(): number
  /** In flight and not waiting; as many as may queue for a connection to the database. */
  maxWorking?: number
  /** Mean of the last second; 0 for no limit. */
  maxEventLoopDelayMs?: number | undefined
}

class Overload extends RetryableFailure {
  constructor() {
    super('OVERLOADED', 'the event loop is late')
  }
}

/**
 * Answers 503 at once, to the routes registered after it, what would else be answered too late for its client. Counts those
 * requests alone that come so far: others, such as pages that nobody reads, shut nobody out.
 */
export async function refuseOverload(
  app: FastifyInstance,
  { waiting, maxWorking = 1_000, maxEventLoopDelayMs = 500 }: OverloadOptions,
): Promise<void> {
  await app.register(underPressure, { maxEventLoopDelay: maxEventLoopDelayMs, customError: Overload })
  let inFlight = 0
  app.addHook('onRequest', (_request, reply, next) => {
    if (inFlight - waiting() >= maxWorking) return void sendProblem(reply, 'OVERLOADED')
    inFlight++
    reply.raw.once('close', () => inFlight--)
    next()
  })
}
