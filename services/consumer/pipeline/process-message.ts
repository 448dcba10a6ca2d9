import type { Message } from '@aws-sdk/client-sqs'
import type { Queue } from '#shared/aws/queue.ts'
import { uploadsPrefix } from '#shared/contract/key.ts'
import { type ImageUploaded, readQueueMessage } from '#shared/contract/queue-message.ts'
import { imageLogger, type Logger } from '#shared/logger.ts'
import { backoffSeconds, outageBackoff } from './backoff.ts'
import type { Delivery, Outcome, Pipeline } from './process-image.ts'

/** What becomes of one message: every picture it names is processed, one after the other. */
export function createMessageProcessor({
  queue,
  pipeline,
  bucket,
  leaseSeconds,
  logger,
  random,
}: {
  queue: Pick<Queue, 'changeVisibility' | 'deadLetter'>
  pipeline: Pipeline
  bucket: string
  leaseSeconds: number
  logger: Logger
  random: () => number
}) {
  /**
   * True when the message is settled and must be acknowledged. Otherwise it has been given back to the queue, now or for
   * later, or left to whoever has its picture. Never throws.
   */
  async function processMessage(message: Message, signal: AbortSignal): Promise<boolean> {
    const delivery: Delivery = {
      receiveCount: Number(message.Attributes?.ApproximateReceiveCount ?? 1),
      extend: (seconds) => queue.changeVisibility(message, seconds),
      deadLetter: (reason) => queue.deadLetter(message, reason),
    }
    const log = logger.child({ message_id: message.MessageId })
    try {
      const outcomes = await settle(message, delivery, log, signal)
      if (outcomes.every((outcome) => outcome === 'settled')) return true
      const retries = outcomes.flatMap((outcome) => (typeof outcome === 'object' ? outcome.retryAfterSeconds : []))
      if (retries.length) await delivery.extend(signal.aborted ? 0 : Math.max(...retries))
    } catch (error) {
      log.error({ err: error }, 'the message could not be dead-lettered or given back')
      await delivery
        .extend(backoffSeconds(delivery.receiveCount, outageBackoff, random))
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
      log.warn({ code: 'MESSAGE_UNREADABLE', reason: read.reason }, 'dead-lettering')
      const attempts = delivery.receiveCount
      await delivery.deadLetter({ reasonCode: 'MESSAGE_UNREADABLE', reason: read.reason, attempts })
      return []
    }
    const outcomes: Outcome[] = []
    for (const [index, upload] of read.uploads.entries()) {
      if (signal.aborted) return [...outcomes, { retryAfterSeconds: 0 }]
      if (index > 0 && !(await delivery.extend(leaseSeconds))) return [...outcomes, 'left']
      const imageLog = imageLogger(logger, { key: upload.key, messageId: message.MessageId })
      outcomes.push(await settleUpload(upload, delivery, imageLog, signal))
    }
    return outcomes
  }

  async function settleUpload(
    upload: ImageUploaded,
    delivery: Delivery,
    log: Logger,
    signal: AbortSignal,
  ): Promise<Outcome> {
    if (upload.bucket !== bucket) {
      const reason = `The message is about the bucket ${upload.bucket}; ours is ${bucket}`
      log.warn({ code: 'MESSAGE_FOREIGN_BUCKET', reason }, 'dead-lettering')
      const attempts = delivery.receiveCount
      await delivery.deadLetter({ reasonCode: 'MESSAGE_FOREIGN_BUCKET', reason, attempts, imageKey: upload.key })
      return 'settled'
    }
    if (!upload.key.startsWith(uploadsPrefix)) {
      log.info(`ignored: pictures are under ${uploadsPrefix}`)
      return 'settled'
    }
    return pipeline.processImage({ upload, delivery, logger: log, signal })
  }

  return { processMessage }
}
