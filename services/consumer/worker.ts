import { setTimeout as sleep } from 'node:timers/promises'
import type { Message, SQSClient } from '@aws-sdk/client-sqs'
import { Consumer } from 'sqs-consumer'
import { receiveWaitSeconds } from '#shared/aws/clients.ts'
import type { Queue } from '#shared/aws/queue.ts'
import type { Logger } from '#shared/logger.ts'
import { type Backoff, backoffSeconds } from './pipeline/backoff.ts'

/** For a queue that cannot be received from. */
const receiveBackoff: Backoff = { firstSeconds: 1, mostSeconds: 30 }

/** Seconds of the grace period that are kept for giving back what could not be finished, and its part at most. */
const giveBackSeconds = 1.5
const giveBackPart = 0.5

/**
 * Receives and acknowledges. `pollers` pollers take one message each, so that a slow picture idles no slot but its own.
 * Hiding messages, renewing and giving back are `processMessage`'s; nothing is acknowledged but what it answers true to.
 */
export function createWorker({
  sqs,
  queueUrl,
  queue,
  processMessage,
  pollers: pollerCount,
  leaseSeconds,
  logger,
  random,
}: {
  sqs: SQSClient
  queueUrl: string
  queue: Pick<Queue, 'changeVisibility'>
  /** Never throws. */
  processMessage: (message: Message, signal: AbortSignal) => Promise<boolean>
  pollers: number
  leaseSeconds: number
  logger: Logger
  random: () => number
}) {
  /** Aborted when no more messages are to be begun. */
  const stopping = new AbortController()
  /** Aborted when messages in work must be given back. */
  const aborting = new AbortController()
  const pollers = Array.from({ length: pollerCount }, createPoller)

  function createPoller() {
    let receiveFailures = 0
    /** Of the message in work. */
    let work: PromiseWithResolvers<void> | undefined

    const consumer = Consumer.create({
      sqs,
      queueUrl,
      batchSize: 1,
      waitTimeSeconds: receiveWaitSeconds,
      visibilityTimeout: leaseSeconds,
      messageAttributeNames: ['All'],
      messageSystemAttributeNames: ['ApproximateReceiveCount'],
      strictReturn: true,
      // sqs-consumer itself would ask again at once, without end.
      preReceiveMessageCallback: async () => {
        if (receiveFailures === 0) return
        const seconds = backoffSeconds(receiveFailures, receiveBackoff, random)
        await sleep(seconds * 1000, undefined, { signal: stopping.signal })
      },
      postReceiveMessageCallback: async () => {
        receiveFailures = 0
      },
      handleMessage: async (message) => {
        work = Promise.withResolvers()
        return (await handle(message)) ? message : undefined
      },
    })
    // Emitted once the message is handled and, where it must be, deleted or not deleted for an error.
    consumer.on('response_processed', () => {
      work?.resolve()
      work = undefined
    })
    consumer.on('error', (error, message) => {
      if (stopping.signal.aborted && !message) return // the idle poll that `stop` has cut off
      if (!message) receiveFailures++
      logger.error(
        { err: error },
        message ? 'a message could not be acknowledged' : 'the queue could not be received from',
      )
    })
    consumer.on('processing_error', (error) => logger.error({ err: error }, 'processing a message threw'))

    return {
      consumer,
      isBusy: () => work !== undefined,
      whenIdle: async () => work?.promise,
    }
  }

  async function handle(message: Message): Promise<boolean> {
    if (!stopping.signal.aborted) return processMessage(message, aborting.signal)
    await queue.changeVisibility(message, 0)
    return false
  }

  const inWork = () => pollers.filter(({ isBusy }) => isBusy()).length

  return {
    start(): void {
      for (const { consumer } of pollers) consumer.start()
    },

    inWork,
    isRunning: () => pollers.some(({ consumer }) => consumer.status.isRunning),

    /**
     * Begins nothing more, lets messages in work finish, and gives back those that cannot within `graceSeconds`, at the end
     * of which it resolves in any case.
     */
    async stop(graceSeconds: number): Promise<void> {
      stopping.abort(new Error('the consumer stops'))
      // A poller in work still has to delete its message, which `abort` would prevent.
      for (const { consumer, isBusy } of pollers) consumer.stop({ abort: !isBusy() })
      const finished = Promise.all(pollers.map(({ whenIdle }) => whenIdle()))
      const reserveSeconds = Math.min(giveBackSeconds, graceSeconds * giveBackPart)
      if (await within(graceSeconds - reserveSeconds, finished)) return
      aborting.abort(new Error('the consumer stops'))
      if (await within(reserveSeconds, finished)) return
      logger.warn({ messages: inWork() }, 'stopped with messages in work; their leases will run out')
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
