import { randomUUID } from 'node:crypto'
import type { DeadLetterReason } from '#shared/aws/queue.ts'
import { jobId } from '#shared/contract/key.ts'
import type { Assignment } from '#shared/contract/queue-message.ts'
import type { Logger } from '#shared/logger.ts'
import type { EndedTry, Observer } from './observer.ts'
import { type Stopwatch, startStopwatch } from './stopwatch.ts'

/** The message that brought the assignment. */
export interface Delivery {
  messageId: string | undefined
  /** How often the message has been received, this time included. */
  receiveCount: number
  /** Of a dead letter sent again: the claim after which its job had failed. */
  failureId?: string | undefined
  /** What of the message may say which trace it belongs to. */
  traceHeaders: readonly string[]
  /** Hides the message from others for so long from now; false when it is no longer ours. */
  extend(seconds: number): Promise<boolean>
  deadLetter(reason: DeadLetterReason): Promise<void>
}

export interface Work {
  assignment: Assignment
  delivery: Delivery
  logger: Logger
  /** Aborted when the consumer must stop. */
  signal: AbortSignal
}

/** One try, from before it is claimed. */
export interface Try extends Work {
  id: string
  take: number
  token: string
  stopwatch: Stopwatch
  onTraceHeader: (header: string) => void
  /** Called once, when all that the try had to write is written. */
  ended: (outcome: EndedTry['outcome'], more?: Pick<EndedTry, 'attempt' | 'code'>) => void
}

/** `now` in milliseconds since 1970. */
export function beginTry(
  work: Work,
  { observer, now }: { observer: Pick<Observer, 'tryEnded'>; now: () => number },
): Try {
  const { assignment, delivery } = work
  const take = 'take' in assignment ? assignment.take : 0
  const id = jobId(assignment, take)
  const stopwatch = startStopwatch({ eventTime: assignment.eventTime, now })
  const { uploadedAt, startedAt, stages } = stopwatch
  const traceHeaders = [...delivery.traceHeaders]
  const { messageId } = delivery
  stopwatch.begin('claim')
  return {
    ...work,
    id,
    take,
    token: randomUUID(),
    logger: work.logger.child({ job_id: id }),
    stopwatch,
    onTraceHeader: (header) => traceHeaders.unshift(header),
    ended(outcome, more) {
      stopwatch.end()
      const times = { uploadedAt, startedAt, endedAt: now(), stages }
      observer.tryEnded({ jobId: id, image: assignment, messageId, outcome, ...more, ...times, traceHeaders })
    },
  }
}
