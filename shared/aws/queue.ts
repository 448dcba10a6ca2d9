import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  type Message,
  type MessageAttributeValue,
  SendMessageCommand,
  type SQSClient,
  SQSServiceException,
} from '@aws-sdk/client-sqs'
import type { ErrorCode } from '../contract/error-code.ts'
import { encodeKey } from '../contract/key.ts'
import { untilAborted } from '../deadline.ts'
import { RetryableFailure } from '../failure.ts'

export type Queue = ReturnType<typeof createQueue>

/** Messages that may be received, and those that have been and are hidden. */
export interface QueueDepth {
  visible: number
  inFlight: number
}

/** Why a message goes to the dead-letter queue. */
export interface DeadLetterReason {
  reasonCode: ErrorCode
  reason: string
  attempts: number
  /** Decoded; absent when the message names no picture. */
  imageKey?: string | undefined
  /** Of a job that has failed: the token of the claim that did. Whoever brings it back has the job begin anew, once. */
  failureId?: string | undefined
}

/** What a dead letter says about its failure; none of it holds for a message that is sent again. */
export const failureAttributes = ['reason_code', 'reason', 'failed_at', 'attempts', 'image_key', 'failure_id'] as const
/** How often the message has been replayed. It stays with the message. */
export const replayCountAttribute = 'replay_count'

/** SQS refuses a message with more. */
export const maxAttributes = 10
const maxReasonLength = 1_000
/** SQS's limit on a message's body and attributes together. */
const maxMessageBytes = 2 ** 20
/** SQS's limit, from the receipt of the message. */
const maxVisibilitySeconds = 43_200
/** How SQS says that a receipt handle has had its time. */
export const notOurs = new Set(['MessageNotInflight', 'ReceiptHandleIsInvalid', 'InvalidParameterValue'])

/**
 * The queue of events and its dead-letter queue; receiving is the poller's. A queue that is away or
 * refuses throws RetryableFailure STORAGE_UNAVAILABLE. `timeoutMs` bounds each call, its retries included.
 */
export function createQueue({
  sqs,
  queueUrl,
  dlqUrl,
  timeoutMs = 30_000,
  now = () => new Date(),
}: {
  sqs: SQSClient
  queueUrl: string
  dlqUrl: string
  timeoutMs?: number
  now?: () => Date
}) {
  const call = createCall(timeoutMs)

  return {
    /** Hides the message for so many seconds from now; 0 gives it back at once. False when it is no longer ours. */
    async changeVisibility(message: Message, seconds: number): Promise<boolean> {
      const command = new ChangeMessageVisibilityCommand({
        QueueUrl: queueUrl,
        ReceiptHandle: message.ReceiptHandle,
        VisibilityTimeout: Math.min(maxVisibilitySeconds, Math.ceil(seconds)),
      })
      return call('changing the visibility of the message', async (bounded) => {
        try {
          await sqs.send(command, bounded)
          return true
        } catch (error) {
          if (error instanceof SQSServiceException && notOurs.has(error.name)) return false
          throw error
        }
      })
    },

    /** Takes the message off the queue for good. */
    async acknowledge({ ReceiptHandle }: Message): Promise<void> {
      const command = new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle })
      await call('acknowledging the message', (bounded) => sqs.send(command, bounded))
    },

    /**
     * Copies the message to the dead-letter queue, its body as received and its reason as attributes. Acknowledge the
     * message only when this has resolved: cut off between the two it lies in both queues, never in neither.
     */
    async deadLetter(message: Message, reason: DeadLetterReason): Promise<void> {
      const command = new SendMessageCommand({
        QueueUrl: dlqUrl,
        MessageBody: message.Body,
        MessageAttributes: deadLetterAttributes(message, reason, now()),
      })
      await call('sending to the dead-letter queue', (bounded) => sqs.send(command, bounded))
    },

    send: createQueueSender({ sqs, queueUrl, timeoutMs }),

    depth: createQueueCounter({ sqs, queueUrl, timeoutMs }),
  }
}

/** Sends a body to a queue, and no more than that; throws as `createQueue` says. */
export function createQueueSender({
  sqs,
  queueUrl,
  timeoutMs,
}: {
  sqs: SQSClient
  queueUrl: string
  timeoutMs: number
}) {
  const call = createCall(timeoutMs)
  return async (body: string): Promise<void> => {
    const command = new SendMessageCommand({ QueueUrl: queueUrl, MessageBody: body })
    await call('sending to the queue', (bounded) => sqs.send(command, bounded))
  }
}

/** Counts the messages of a queue, approximately, as SQS does; throws as `createQueue` says. */
export function createQueueCounter({
  sqs,
  queueUrl,
  timeoutMs,
}: {
  sqs: SQSClient
  queueUrl: string
  timeoutMs: number
}) {
  const call = createCall(timeoutMs)
  return async (): Promise<QueueDepth> => {
    const command = new GetQueueAttributesCommand({
      QueueUrl: queueUrl,
      AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
    })
    return call('counting messages', async (bounded) => {
      const { Attributes: counts = {} } = await sqs.send(command, bounded)
      const numberOf = (name: keyof typeof counts) => {
        if (counts[name] === undefined) throw new Error(`the server gives no ${name}`)
        return Number(counts[name])
      }
      return {
        visible: numberOf('ApproximateNumberOfMessages'),
        inFlight: numberOf('ApproximateNumberOfMessagesNotVisible'),
      }
    })
  }
}

/** Calls SQS, each call bounded in time with its retries; throws RetryableFailure STORAGE_UNAVAILABLE, which says what was tried. */
export function createCall(timeoutMs: number) {
  return async <T>(what: string, run: (bounded: { abortSignal: AbortSignal }) => Promise<T>): Promise<T> => {
    try {
      const abortSignal = AbortSignal.timeout(timeoutMs)
      // The SDK itself hears of the signal only once it has credentials.
      return await untilAborted(run({ abortSignal }), abortSignal)
    } catch (error) {
      const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
      throw new RetryableFailure('STORAGE_UNAVAILABLE', `${what} failed: ${reason}`, { cause: error })
    }
  }
}

/** The failure from which the message wants its job to begin anew, in ASCII; undefined when it names none. */
export function failureIdOf({ MessageAttributes: attributes }: Message): string | undefined {
  const value = attributes?.failure_id?.StringValue
  return value && /^[!-~]{1,64}$/.test(value) ? value : undefined
}

/**
 * Ours come first, the most telling before the others, then the message's own: as many as fit, which beside a body as large
 * as SQS takes may be none; of an earlier failure nothing is kept. `image_key` is percent-encoded (decodeURIComponent
 * gives the key): keys may hold characters that SQS refuses.
 */
function deadLetterAttributes(
  message: Message,
  { reasonCode, reason, attempts, imageKey, failureId }: DeadLetterReason,
  failedAt: Date,
): Record<string, MessageAttributeValue> {
  const { [replayCountAttribute]: replayCount, ...others } = message.MessageAttributes ?? {}
  const ours: Record<string, MessageAttributeValue> = {
    reason_code: text(reasonCode),
    ...(failureId && { failure_id: text(failureId) }),
    ...(replayCount && { [replayCountAttribute]: replayCount }),
    reason: text(sqsText(reason).slice(0, maxReasonLength).toWellFormed() || reasonCode),
    attempts: { DataType: 'Number', StringValue: String(attempts) },
    failed_at: text(failedAt.toISOString()),
    ...(imageKey && { image_key: text(encodeKey(imageKey)) }),
  }
  const theirs = Object.entries(others).filter(([name]) => !failureAttributes.some((each) => each === name))
  const attributes: Record<string, MessageAttributeValue> = {}
  let room = maxMessageBytes - Buffer.byteLength(message.Body ?? '')
  for (const [name, value] of [...Object.entries(ours), ...theirs].slice(0, maxAttributes)) {
    const { DataType: type = '', StringValue: string = '', BinaryValue: binary = '' } = value
    const bytes = [name, type, string, binary].reduce((sum, part) => sum + Buffer.byteLength(part), 0)
    if (bytes > room) continue
    attributes[name] = value
    room -= bytes
  }
  return attributes
}

function text(value: string): MessageAttributeValue {
  return { DataType: 'String', StringValue: value }
}

/** Without the characters that SQS refuses: #x9 | #xA | #xD | #x20-#xD7FF | #xE000-#xFFFD | #x10000-#x10FFFF. */
export function sqsText(value: string): string {
  return value.toWellFormed().replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '')
}
