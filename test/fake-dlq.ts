import type { Message } from '@aws-sdk/client-sqs'
import type { DeadLetterQueue } from '#shared/dead-letters/dead-letter-queue.ts'

/** A dead-letter queue in memory. What is received is hidden until it is given back, to its place in the line. */
export function createFakeDlq(messages: Message[], { batch = 10 }: { batch?: number } = {}) {
  const ready = [...messages]
  const places = new Map(messages.map((message, index) => [message, index]))
  const hidden = new Map<string, Message>()
  const sent: string[] = []
  let receipts = 0
  const queue: DeadLetterQueue = {
    async receive() {
      ready.sort((a, b) => places.get(a)! - places.get(b)!)
      return ready.splice(0, batch).map((message) => {
        const ReceiptHandle = String(receipts++)
        hidden.set(ReceiptHandle, message)
        return { ...message, ReceiptHandle }
      })
    },
    async changeVisibility(handles, seconds) {
      const gone = handles.filter((handle) => !hidden.has(handle))
      if (seconds) return gone
      for (const handle of handles) {
        const message = hidden.get(handle)
        if (message && hidden.delete(handle)) ready.push(message)
      }
      return gone
    },
    async remove(handle) {
      hidden.delete(handle)
    },
    async sendToQueue(body) {
      sent.push(body)
      return `new-${body}`
    },
    async sendToDlq() {
      throw new Error('nothing is sent to the dead-letter queue')
    },
    count: async () => ready.length + hidden.size,
  }
  return {
    queue,
    /** Bodies on the source queue. */
    sent,
    ready: () => ready.map(({ MessageId: id }) => id).toSorted(),
    /** Receipts so far. */
    received: () => receipts,
  }
}

/** Its body is its id. */
export function letterOf(id: string, attributes: Record<string, string>): Message {
  return {
    MessageId: id,
    Body: id,
    Attributes: { SentTimestamp: '1767323045678' },
    MessageAttributes: Object.fromEntries(
      Object.entries(attributes).map(([name, StringValue]) => [name, { DataType: 'String', StringValue }]),
    ),
  }
}
