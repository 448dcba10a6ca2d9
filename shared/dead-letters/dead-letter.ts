import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs'
import { failureAttributes, maxAttributes, replayCountAttribute } from '../aws/queue.ts'
import { readQueueMessage } from '../contract/queue-message.ts'

export type MessageAttributes = Record<string, MessageAttributeValue>
export type DeadLetter = ReturnType<typeof readDeadLetter>

/** Of the year 10,000, whose times are written otherwise. */
const latestTime = Date.UTC(10_000, 0)

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

/** The message with another body is about the pictures of that one, and no longer about the one that failed. */
export function withBody(letter: DeadLetter, body: string): DeadLetter {
  return { ...letter, body, imageKeys: announcedBy(body) }
}

/** What a list says of a message. */
export function summaryOf(letter: DeadLetter, now: number) {
  const { reasonCode, reason, attempts } = letter
  return {
    message_id: letter.id,
    ...(reasonCode !== undefined && { reason_code: reasonCode }),
    ...(reason !== undefined && { reason }),
    image_keys: letter.imageKeys,
    failed_at: letter.failedAt.toISOString(),
    age_seconds: Math.floor((now - letter.failedAt.getTime()) / 1000),
    ...(attempts !== undefined && { attempts }),
    replay_count: letter.replays,
    sent_at: letter.sentAt.toISOString(),
    body_bytes: Buffer.byteLength(letter.body),
  }
}

/** Of a message, as SQS counts. */
export function bytesOf({ body, attributes }: Pick<DeadLetter, 'body' | 'attributes'>): number {
  return Object.entries(attributes).reduce(
    (sum, [name, { DataType, StringValue = '', BinaryValue }]) =>
      sum + Buffer.byteLength(name + DataType + StringValue) + (BinaryValue?.length ?? 0),
    Buffer.byteLength(body),
  )
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
  return announcedBy(body)
}

function announcedBy(body: string): string[] {
  const read = readQueueMessage(body)
  if (read.kind === 'order') return [read.order.key]
  return read.kind === 'uploads' ? read.uploads.map(({ key }) => key) : []
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

function readTime(text = ''): Date | undefined {
  const time = Date.parse(text)
  return time >= 0 && time < latestTime ? new Date(time) : undefined
}
