import Type, { type Static } from 'typebox'
import Value from 'typebox/value'
import { maxAttributes, sqsText } from '#shared/aws/queue.ts'
import { bytesOf, type DeadLetter, type MessageAttributes } from '#shared/dead-letters/dead-letter.ts'

/** SQS's limit. */
const maxBytes = 2 ** 20
const maxFaults = 20

/** A message as a line of JSON: what `export` writes and `import` reads. What it does not name is for information. */
const MessageRecord = Type.Object({
  message_id: Type.Optional(Type.String()),
  body: Type.String({ minLength: 1 }),
  attributes: Type.Record(
    Type.String({ pattern: '^[A-Za-z0-9_.-]{1,256}$' }),
    Type.Object({
      data_type: Type.String({ pattern: '^(String|Number|Binary)(\\..+)?$', maxLength: 256 }),
      string_value: Type.Optional(Type.String({ minLength: 1 })),
      /** Base64. */
      binary_value: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9+/]+={0,2}$' })),
    }),
    { maxProperties: maxAttributes, additionalProperties: false },
  ),
})

export interface ImportedMessage {
  line: number
  id: string | undefined
  body: string
  attributes: MessageAttributes
}

export function recordOf({ id, body, attributes, systemAttributes }: DeadLetter) {
  return {
    message_id: id,
    body,
    attributes: Object.fromEntries(
      Object.entries(attributes).map(([name, { DataType, StringValue, BinaryValue }]) => [
        name,
        {
          data_type: DataType,
          string_value: StringValue,
          binary_value: BinaryValue && Buffer.from(BinaryValue).toString('base64'),
        },
      ]),
    ),
    system_attributes: systemAttributes,
  }
}

/** Empty lines are passed over. The faults are told with the numbers of their lines, up to a number of them. */
export function readRecords(text: string): { messages: ImportedMessage[]; faults: string[] } {
  const messages: ImportedMessage[] = []
  const faults: string[] = []
  for (const [index, json] of text.split('\n').entries()) {
    if (!json.trim()) continue
    const read = readRecord(json)
    if (typeof read === 'string') faults.push(`line ${index + 1}: ${read}`)
    else messages.push({ line: index + 1, ...read })
    if (faults.length === maxFaults) break
  }
  return { messages, faults }
}

/** A text says what is wrong. */
export function readRecord(json: string): Omit<ImportedMessage, 'line'> | string {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch {
    return 'it is not JSON'
  }
  if (!Value.Check(MessageRecord, value)) {
    const [error] = Value.Errors(MessageRecord, value)
    return `${error?.instancePath.slice(1) || 'it'} ${error?.message}`
  }
  const { message_id: id, body } = value
  const attributes = attributesOf(value)
  if (!attributes) return 'an attribute has not exactly the value that its data_type names'
  const texts = [body, ...Object.values(attributes).map(({ StringValue = '' }) => StringValue)]
  if (texts.some((each) => sqsText(each) !== each)) return 'it has characters that SQS refuses'
  const bytes = bytesOf({ body, attributes })
  return bytes > maxBytes ? `it has ${bytes} bytes; SQS takes ${maxBytes}` : { id, body, attributes }
}

function attributesOf({ attributes }: Static<typeof MessageRecord>): MessageAttributes | undefined {
  const read: MessageAttributes = {}
  for (const [name, each] of Object.entries(attributes)) {
    const { data_type: DataType, string_value: StringValue, binary_value: binary } = each
    const isBinary = DataType.startsWith('Binary')
    if (isBinary !== (binary !== undefined) || isBinary === (StringValue !== undefined)) return undefined
    read[name] = {
      DataType,
      ...(binary === undefined ? { StringValue } : { BinaryValue: Buffer.from(binary, 'base64') }),
    }
  }
  return read
}
