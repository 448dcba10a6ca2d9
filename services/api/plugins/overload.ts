import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { RetryableFailure } from '#shared/failure.ts'
import { sendProblem } from './problem.ts'

interface OverloadOptions {
  inFlight(): number
  /** Of those, the ones that wait for something to happen, which costs next to nothing. */
  waiting(): number
  /** In flight and not waiting; as many as may queue for a connection to the database. */
  maxWorking?: number
  maxInFlight?: number
  /** Mean of the last second. */
  maxEventLoopDelayMs?: number
}

class Overload extends RetryableFailure {
  constructor() {
    super('OVERLOADED', 'the event loop is late')
  }
}

/** Answers 503 at once, to the routes registered after it, what would else be answered too late for its client. */
export async function refuseOverload(
  app: FastifyInstance,
  { inFlight, waiting, maxWorking = 1_000, maxInFlight = 10_000, maxEventLoopDelayMs = 500 }: OverloadOptions,
): Promise<void> {
  await app.register(underPressure, { maxEventLoopDelay: maxEventLoopDelayMs, customError: Overload })
  app.addHook('onRequest', (_request, reply, next) => {
    const count = inFlight()
    if (count > maxInFlight || count - waiting() > maxWorking) return void sendProblem(reply, 'OVERLOADED')
    next()
  })
}
