import { setTimeout as sleep } from 'node:timers/promises'
import type { Message, SQSClient } from '@aws-sdk/client-sqs'
import { Consumer } from 'sqs-consumer'
import { maxReceiveWaitSeconds } from '#shared/aws/clients.ts'
import type { Queue } from '#shared/aws/queue.ts'
import type { Logger } from '#shared/logger.ts'
import type { Outages } from './outages.ts'
import { type Backoff, backoffSeconds } from './pipeline/backoff.ts'

/** For a queue that cannot be received from. */
const receiveBackoff: Backoff = { firstSeconds: 1, mostSeconds: 30 }

/** Seconds of the grace period that are kept for giving back what could not be finished, and its part at most. */
const giveBackSeconds = 1.5
const giveBackPart = 0.5

/**
 * Receives and acknowledges. `pollers` pollers take one message each, so that a slow picture idles no slot but its own.
 * Hiding messages, renewing and giving back are `processMessage`'s; nothing is acknowledged but what it answers true to.
 *
 * Receives are never cut off: SQS may by then have handed out a message, which would be hidden from everyone until its
 * visibility ends. They wait so little instead that they are over within `graceSeconds`, the time that `stop` may take.
 */
export function createWorker({
  sqs,
  queueUrl,
  queue,
  processMessage,
  outages,
  pollers: pollerCount,
  leaseSeconds,
  graceSeconds,
  logger,
  random,
}: {
  sqs: SQSClient
  queueUrl: string
  queue: Pick<Queue, 'acknowledge' | 'changeVisibility'>
  /** Never throws. */
  processMessage: (message: Message, signal: AbortSignal) => Promise<boolean>
  outages: Pick<Outages, 'over'>
  pollers: number
  leaseSeconds: number
  graceSeconds: number
  logger: Logger
  random: () => number
}) {
  const reserveSeconds = Math.min(giveBackSeconds, graceSeconds * giveBackPart)
  const finishSeconds = graceSeconds - reserveSeconds
  const waitTimeSeconds = Math.min(maxReceiveWaitSeconds, Math.max(1, Math.floor(finishSeconds)))
  /** Aborted when no more messages are to be begun. */
  const stopping = new AbortController()
  /** Aborted when messages in work must be given back. */
  const aborting = new AbortController()
  let inWork = 0
  /** Since when no receive of any poller has succeeded. */
  let queueAwaySince: Date | undefined
  const pollers = Array.from({ length: pollerCount }, createPoller)

  function createPoller() {
    let receiveFailures = 0
    /** From asking for a message to having acknowledged it, or not. */
    let round: PromiseWithResolvers<void> | undefined
    const endRound = () => {
      round?.resolve()
      round = undefined
    }

    const consumer = Consumer.create({
      sqs,
      queueUrl,
      batchSize: 1,
      waitTimeSeconds,
      visibilityTimeout: leaseSeconds,
      messageAttributeNames: ['All'],
      messageSystemAttributeNames: ['ApproximateReceiveCount', 'SentTimestamp', 'AWSTraceHeader'],
      // Ours, since receives are tried once only and an acknowledgement is worth more than that.
      shouldDeleteMessages: false,
      preReceiveMessageCallback: async () => {
        await outages.over(stopping.signal)
        stopping.signal.throwIfAborted()
        round = Promise.withResolvers()
        // sqs-consumer itself would ask again at once, without end.
        if (receiveFailures > 0) {
          const seconds = backoffSeconds(receiveFailures, receiveBackoff, random)
          await sleep(seconds * 1000, undefined, { signal: stopping.signal })
        }
      },
      postReceiveMessageCallback: async () => {
        receiveFailures = 0
        queueAwaySince = undefined
      },
      handleMessage: async (message) => {
        await handle(message)
        return undefined
      },
    })
    consumer.on('empty', endRound)
    consumer.on('response_processed', endRound)
    consumer.on('processing_error', (error, { MessageId }) =>
      logger.error({ err: error, message_id: MessageId }, 'a message could not be acknowledged or given back'),
    )
    consumer.on('error', (error) => {
      endRound()
      receiveFailures++
      if (stopping.signal.aborted) return
      queueAwaySince ??= new Date()
      logger.error({ err: error }, 'the queue could not be received from')
    })

    return { consumer, whenIdle: async () => round?.promise }
  }

  async function handle(message: Message): Promise<void> {
    if (stopping.signal.aborted) {
      await queue.changeVisibility(message, 0)
      return
    }
    inWork++
    try {
      if (await processMessage(message, aborting.signal)) await queue.acknowledge(message)
    } finally {
      inWork--
    }
  }

  return {
    start(): void {
      for (const { consumer } of pollers) consumer.start()
    },

    inWork: () => inWork,
    queueAwaySince: () => queueAwaySince,
    isRunning: () => pollers.some(({ consumer }) => consumer.status.isRunning),

    /**
     * Begins nothing more, lets messages in work finish, and gives back those that cannot within the grace period, at the
     * end of which it resolves in any case.
     */
    async stop(): Promise<void> {
      stopping.abort(new Error('the consumer stops'))
      for (const { consumer } of pollers) consumer.stop()
      const finished = Promise.all(pollers.map(({ whenIdle }) => whenIdle()))
      if (await within(finishSeconds, finished)) return
      aborting.abort(new Error('the consumer stops'))
      if (await within(reserveSeconds, finished)) return
      logger.warn({ messages: inWork }, 'stopped with messages in work; their leases will run out')
    },
  }
}

/** Whether `work` has ended within so many seconds. */
async function within(seconds: number, work: Promise<unknown>): Promise<boolean> {
  const timer = new AbortController()
  const timeout = sleep(seconds * 1000, false, { signal: timer.signal }).catch(() => false)
  try {
    return await Promise.race([work.then(() => true), timeout])
  } finally {
    timer.abort()
  }
}
