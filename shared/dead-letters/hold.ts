import type { Message } from '@aws-sdk/client-sqs'
import pLimit from 'p-limit'
import { batchSize, type DeadLetterQueue } from './dead-letter-queue.ts'

/** How long those that were not given back, because this was killed, stay hidden at most. */
const visibilitySeconds = 120
const renewalsPerVisibility = 4
/** Batches on their way to SQS at once: the last message of a large hold is renewed long before its time is over. */
const batchesAtOnce = 16
/** Batches that fail before giving back is given up. */
const maxFailures = 3

export type Hold = ReturnType<typeof createHold>

interface HoldOptions {
  queue: Pick<DeadLetterQueue, 'receive' | 'changeVisibility' | 'remove'>
  seconds?: number
  now?: () => number
}

/** Gives back whatever is held in the end; `onFault` hears why that failed. */
export async function withHold<T>(
  { onFault, ...options }: HoldOptions & { onFault: (fault: string) => void },
  use: (hold: Hold) => Promise<T>,
): Promise<T> {
  const hold = createHold(options)
  try {
    return await use(hold)
  } finally {
    const fault = await hold.giveBack()
    if (fault) onFault(fault)
  }
}

/**
 * Messages received from the dead-letter queue. They are hidden from everyone else, for as long as it takes, until they are
 * removed or given back.
 */
export function createHold({ queue, seconds = visibilitySeconds, now = () => performance.now() }: HoldOptions) {
  const held = new Map<string, { receiptHandle: string; until: number }>()
  let ended = false
  let renewal: Promise<void> = Promise.resolve()
  let timer = renewLater()

  function renewLater(): NodeJS.Timeout {
    const begin = () => {
      renewal = renew()
      void renewal.then(() => {
        if (!ended) timer = renewLater()
      })
    }
    return setTimeout(begin, (seconds * 1000) / renewalsPerVisibility)
  }

  /** What cannot be renewed is tried again, and no longer held when its time is over. Never throws. */
  async function renew(): Promise<void> {
    await eachBatch([...held], async (batch) => {
      if (ended) return
      const until = now() + seconds * 1000
      const handles = batch.map(([, { receiptHandle }]) => receiptHandle)
      const gone = await queue.changeVisibility(handles, seconds).catch(() => handles)
      for (const [, message] of batch) if (!gone.includes(message.receiptHandle)) message.until = until
    })
  }

  return {
    /** Up to ten more messages; none when the queue has no more. */
    async receive(): Promise<Message[]> {
      const until = now() + seconds * 1000
      const messages = await queue.receive(seconds)
      for (const { MessageId: id, ReceiptHandle: receiptHandle } of messages) {
        // Of a message received twice, the later receipt counts.
        if (id && receiptHandle) held.set(id, { receiptHandle, until })
      }
      return messages
    },

    /** Takes a message off the queue for good. */
    async remove(id: string): Promise<void> {
      const message = held.get(id)
      if (!message) throw new Error(`the message ${id} is not held`)
      await queue.remove(message.receiptHandle)
      held.delete(id)
    },

    /** Throws when someone else may have the message by now. */
    check(id: string): void {
      if ((held.get(id)?.until ?? 0) <= now()) throw new Error('its visibility has run out, and another may have it')
    },

    /** Makes all of them visible again, and ends the hold. Resolves to why that failed, if it did. */
    async giveBack(): Promise<string | undefined> {
      ended = true
      clearTimeout(timer)
      await renewal
      const failures: string[] = []
      await eachBatch([...held], async (batch) => {
        if (failures.length >= maxFailures) return
        try {
          await queue.changeVisibility(
            batch.map(([, { receiptHandle }]) => receiptHandle),
            0,
          )
          for (const [id] of batch) held.delete(id)
        } catch (error) {
          failures.push((error as Error).message)
        }
      })
      if (!failures.length) return undefined
      return `${held.size} messages come back in up to ${seconds} s only: ${failures.at(-1)}`
    },
  }
}

async function eachBatch<T>(items: T[], work: (batch: T[]) => Promise<void>): Promise<void> {
  const batches = Array.from({ length: Math.ceil(items.length / batchSize) }, (_, i) =>
    items.slice(i * batchSize, (i + 1) * batchSize),
  )
  await pLimit(batchesAtOnce).map(batches, work)
}
