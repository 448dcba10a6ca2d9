import {
  ChangeMessageVisibilityBatchCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import { createCall, createQueueCounter, notOurs } from '../aws/queue.ts'
import type { MessageAttributes } from './dead-letter.ts'

export type DeadLetterQueue = ReturnType<typeof createDeadLetterQueue>

/** SQS's most for one call. */
export const batchSize = 10
/** A receive that waits asks all servers of the queue, so that an empty answer means an empty queue. */
const waitSeconds = 1

/**
 * The dead-letter queue as an operator sees it, and its source. A queue that is away or refuses throws RetryableFailure
 * STORAGE_UNAVAILABLE. `timeoutMs` bounds each call, its retries included.
 */
export function createDeadLetterQueue({
  sqs,
  queueUrl,
  dlqUrl,
  timeoutMs = 30_000,
}: {
  sqs: SQSClient
  queueUrl: string
  dlqUrl: string
  timeoutMs?: number
}) {
  const call = createCall(timeoutMs)
  const depth = createQueueCounter({ sqs, queueUrl: dlqUrl, timeoutMs })
  const send = (url: string, body: string, attributes: MessageAttributes) =>
    call('sending the message', async (bounded) => {
      const command = new SendMessageCommand({ QueueUrl: url, MessageBody: body, MessageAttributes: attributes })
      const { MessageId: id = '' } = await sqs.send(command, bounded)
      return id
    })

  return {
    /** Up to ten messages, hidden from others for so many seconds; none when the queue has no more. */
    async receive(visibilitySeconds: number): Promise<Message[]> {
      const command = new ReceiveMessageCommand({
        QueueUrl: dlqUrl,
        MaxNumberOfMessages: batchSize,
        WaitTimeSeconds: waitSeconds,
        VisibilityTimeout: visibilitySeconds,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      })
      const { Messages: messages = [] } = await call('receiving', (bounded) => sqs.send(command, bounded))
      return messages
    },

    /** Hides up to ten messages, named by their receipt handles, for so long from now; returns those no longer ours. */
    async changeVisibility(receiptHandles: string[], seconds: number): Promise<string[]> {
      const command = new ChangeMessageVisibilityBatchCommand({
        QueueUrl: dlqUrl,
        Entries: receiptHandles.map((receiptHandle, index) => ({
          Id: String(index),
          ReceiptHandle: receiptHandle,
          VisibilityTimeout: seconds,
        })),
      })
      const { Failed: failed = [] } = await call('changing the visibility', (bounded) => sqs.send(command, bounded))
      const fault = failed.find(({ Code: code = '' }) => !notOurs.has(code))
      if (fault) throw new Error(`changing the visibility failed: ${fault.Code}: ${fault.Message}`)
      return failed.map(({ Id: index }) => receiptHandles[Number(index)]!)
    },

    async remove(receiptHandle: string): Promise<void> {
      const command = new DeleteMessageCommand({ QueueUrl: dlqUrl, ReceiptHandle: receiptHandle })
      await call('removing the message', (bounded) => sqs.send(command, bounded))
    },

    /** To the source queue; resolves to the new message's id. */
    sendToQueue: (body: string, attributes: MessageAttributes) => send(queueUrl, body, attributes),

    /** To the dead-letter queue; resolves to the new message's id. */
    sendToDlq: (body: string, attributes: MessageAttributes) => send(dlqUrl, body, attributes),

    /** How many messages lie there, hidden ones included; approximate, as SQS counts. */
    async count(): Promise<number> {
      const { visible, inFlight } = await depth()
      return visible + inFlight
    },
  }
}
