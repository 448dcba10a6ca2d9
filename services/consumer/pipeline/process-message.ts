import type { Message } from '@aws-sdk/client-sqs'
import { failureIdOf, type Queue } from '#shared/aws/queue.ts'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { imageKeyFault, uploadsPrefix } from '#shared/contract/key.ts'
import { type Assignment, type ImageUploaded, readQueueMessage } from '#shared/contract/queue-message.ts'
import { imageLogger, type Logger } from '#shared/logger.ts'
import { backoffSeconds, outageBackoff } from './backoff.ts'
import type { Observer } from './observer.ts'
import type { Outcome, Pipeline } from './process-image.ts'
import type { Delivery } from './try.ts'

/** What becomes of one message: everything it asks for is processed, one after the other. */
export function createMessageProcessor({
  queue,
  pipeline,
  bucket,
  leaseSeconds,
  observer,
  logger,
  random,
}: {
  queue: Pick<Queue, 'changeVisibility' | 'deadLetter'>
  pipeline: Pipeline
  bucket: string
  leaseSeconds: number
  observer: Pick<Observer, 'messageReceived' | 'messageRefused'>
  logger: Logger
  random: () => number
}) {
  /**
   * True when the message is settled and must be acknowledged. Otherwise it has been given back to the queue, now or for
   * later, or left to whoever has its picture. Never throws.
   */
  async function processMessage(message: Message, signal: AbortSignal): Promise<boolean> {
    const { SentTimestamp: sentAt, AWSTraceHeader: awsTraceHeader } = message.Attributes ?? {}
    const traceHeaders = [message.MessageAttributes?.traceparent?.StringValue, awsTraceHeader]
    const delivery: Delivery = {
      messageId: message.MessageId,
      traceHeaders: traceHeaders.filter((each) => each !== undefined),
      receiveCount: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
      failureId: failureIdOf(message),
      extend: (seconds) => queue.changeVisibility(message, seconds),
      deadLetter: (reason) => queue.deadLetter(message, reason),
    }
    const log = logger.child({ message_id: message.MessageId })
    observer.messageReceived({ sentAt: sentAt === undefined ? undefined : Number(sentAt) })
    try {
      const outcomes = await settle(message, delivery, log, signal)
      const objects = outcomes.filter((outcome) => typeof outcome === 'object')
      const retries = objects.flatMap((each) => ('retryAfterSeconds' in each ? each.retryAfterSeconds : []))
      if (retries.length) await delivery.extend(signal.aborted ? 0 : Math.max(...retries))
      if (retries.length || outcomes.includes('left')) return false
      // Once per message, and with it the last: a copy of it goes, all its pictures included.
      const refused = objects.find((each) => 'refused' in each)?.refused
      if (refused) {
        log.warn({ code: refused.reasonCode, reason: refused.reason }, 'dead-lettering')
        await delivery.deadLetter(refused)
        observer.messageRefused(refused.reasonCode)
      }
      return true
    } catch (error) {
      log.error({ err: error }, 'the message could not be dead-lettered or given back')
      await delivery
        .extend(backoffSeconds(delivery.receiveCount, outageBackoff(leaseSeconds), random))
        .catch((cause: unknown) => log.warn({ err: cause }, 'it comes back when its visibility runs out'))
    }
    return false
  }

  async function settle(message: Message, delivery: Delivery, log: Logger, signal: AbortSignal): Promise<Outcome[]> {
    const read = readQueueMessage(message.Body ?? '')
    if (read.kind === 'nothing') {
      log.info({ reason: read.reason }, 'nothing to do')
      return []
    }
    if (read.kind === 'unreadable') {
      return [{ refused: { reasonCode: 'MESSAGE_UNREADABLE', reason: read.reason, attempts: delivery.receiveCount } }]
    }
    const outcomes: Outcome[] = []
    const assignments = read.kind === 'order' ? [read.order] : read.uploads
    for (const [index, assignment] of assignments.entries()) {
      if (signal.aborted) return [...outcomes, { retryAfterSeconds: 0 }]
      if (index > 0 && !(await delivery.extend(leaseSeconds))) return [...outcomes, 'left']
      const imageLog = imageLogger(logger, { key: assignment.key, messageId: message.MessageId })
      outcomes.push(await settleOne(assignment, delivery, imageLog, signal))
    }
    return outcomes
  }

  async function settleOne(
    assignment: Assignment,
    delivery: Delivery,
    log: Logger,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { key } = assignment
    const refuse = (reasonCode: ErrorCode, reason: string): Outcome => ({
      refused: { reasonCode, reason, attempts: delivery.receiveCount, imageKey: key },
    })
    if (assignment.bucket !== bucket) {
      return refuse('MESSAGE_FOREIGN_BUCKET', `The message is about the bucket ${assignment.bucket}; ours is ${bucket}`)
    }
    const noPicture = 'take' in assignment ? undefined : whyNoPicture(assignment)
    if (noPicture) {
      log.info(`ignored: ${noPicture}`)
      return 'settled'
    }
    const fault = imageKeyFault(key)
    if (fault) return refuse('MESSAGE_UNREADABLE', `The image key ${fault}`)
    return pipeline.processImage({ assignment, delivery, logger: log, signal })
  }

  return { processMessage }
}

/** S3 announces all that is created, wherever; undefined for what may be a picture. */
function whyNoPicture({ key, size }: ImageUploaded): string | undefined {
  if (!key.startsWith(uploadsPrefix)) return `pictures are under ${uploadsPrefix}`
  if (key.endsWith('/') && size === 0) return 'a folder, as the console of S3 makes them'
  return undefined
}
