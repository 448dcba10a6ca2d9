import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs'
import { failureAttributes, maxAttributes, replayCountAttribute } from '#shared/aws/queue.ts'
import { readQueueMessage } from '#shared/contract/queue-message.ts'

export type MessageAttributes = Record<string, MessageAttributeValue>
export type DeadLetter = ReturnType<typeof readDeadLetter>

/** Anyone may have written the message: what it says of itself is taken where it has the right form. */
export function readDeadLetter(message: Message) {
  const { MessageId: id = '', Body: body = '' } = message
  const attributes: MessageAttributes = message.MessageAttributes ?? {}
  const systemAttributes: Record<string, string> = message.Attributes ?? {}
  const text = (name: string) => attributes[name]?.StringValue
  const sentAt = new Date(wholeNumber(systemAttributes.SentTimestamp) ?? 0)
  return {
    id,
    body,
    attributes,
    systemAttributes,
    /** Absent where SQS itself has dead-lettered it, after too many receives. */
    reasonCode: text('reason_code'),
    reason: text('reason'),
    sentAt,
    failedAt: readTime(text('failed_at')) ?? sentAt,
    attempts: wholeNumber(text('attempts')),
    replays: replaysOf(attributes),
    imageKeys: imageKeysOf(text('image_key'), body),
  }
}

/**
 * What goes with the message when it is sent again: whatever was said of its failure is over, but for the failure's id. Ours
 * come first, then as many of its own as SQS takes.
 */
export function replayedAttributes(attributes: MessageAttributes): MessageAttributes {
  const replays = String(replaysOf(attributes) + 1)
  const ours: MessageAttributes = {
    [replayCountAttribute]: { DataType: 'Number', StringValue: replays },
    ...(attributes.failure_id && { failure_id: attributes.failure_id }),
  }
  const own = Object.entries(attributes).filter(
    ([name]) => !(name in ours) && !failureAttributes.some((each) => each === name),
  )
  return Object.fromEntries([...Object.entries(ours), ...own].slice(0, maxAttributes))
}

function replaysOf(attributes: MessageAttributes): number {
  return wholeNumber(attributes[replayCountAttribute]?.StringValue) ?? 0
}

/** The picture that the failure was about, or else all that the message announces. */
function imageKeysOf(encoded: string | undefined, body: string): string[] {
  if (encoded) {
    try {
      return [decodeURIComponent(encoded)]
    } catch {
      return [encoded]
    }
  }
  const read = readQueueMessage(body)
  if (read.kind === 'order') return [read.order.key]
  return read.kind === 'uploads' ? read.uploads.map(({ key }) => key) : []
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

function readTime(text = ''): Date | undefined {
  const time = new Date(text)
  return Number.isNaN(time.getTime()) ? undefined : time
}
