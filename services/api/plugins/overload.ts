import underPressure from '@fastify/under-pressure'
import type { FastifyInstance } from 'fastify'
import { RetryableFailure } from '#shared/failure.ts'
import { createTally, type Tally } from '../tally.ts'
import { accountOf } from './access.ts'
import { sendProblem } from './problem.ts'

interface OverloadOptions {
  /** Of those in flight, the ones that wait for something to happen, which costs next to nothing and has its own bound. */
  waiting: Pick<Tally, 'total' | 'of'>
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
 * Answers 503 at once, to the routes registered after it, what would else be answered too late for its client, and what is
 * asked by a caller who has as many in flight as are left for all others: of bodies that never come, say. Counts those
 * requests alone that come so far: others, such as pages that nobody reads, shut nobody out.
 */
export async function refuseOverload(
  app: FastifyInstance,
  { waiting, maxWorking = 1_000, maxEventLoopDelayMs = 500 }: OverloadOptions,
): Promise<void> {
  await app.register(underPressure, { maxEventLoopDelay: maxEventLoopDelayMs, customError: Overload })
  const inFlight = createTally()
  app.addHook('onRequest', (request, reply, next) => {
    const caller = accountOf(request)
    const left = maxWorking - (inFlight.total() - waiting.total())
    if (inFlight.of(caller) - waiting.of(caller) >= left) return void sendProblem(reply, 'OVERLOADED')
    inFlight.add(caller, 1)
    reply.raw.once('close', () => inFlight.add(caller, -1))
    next()
  })
}
