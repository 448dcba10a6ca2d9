import Type, { type Static, type TSchema } from 'typebox'
import Value from 'typebox/value'
import { type ImageVersion, maxKeyBytes } from './key.ts'
import { readTakeOrder, TakeOrder, type TakeOrdered } from './take-order.ts'

/** One picture that S3 says has been created. */
export interface ImageUploaded extends ImageVersion {
  versionId?: string
  etag: string
  /** Bytes. */
  size: number
  sequencer: string
  eventTime: string
}

/** What a message asks for: the first take on a picture, or a later one. */
export type Assignment = ImageUploaded | TakeOrdered

/** What a message on the queue means. `nothing`: understood, and no work follows (a test event, a deletion). */
type QueueMessage =
  | { kind: 'uploads'; uploads: ImageUploaded[] }
  | { kind: 'order'; order: TakeOrdered }
  | { kind: 'nothing'; reason: string }
  | { kind: 'unreadable'; reason: string }

/** Etags, quoted or not, and version ids. */
const printableAscii = '^[!-~]*$'

const S3Object = Type.Object({
  key: Type.String({ minLength: 1, maxLength: 3 * maxKeyBytes }),
  size: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })),
  eTag: Type.Optional(Type.String({ maxLength: 128, pattern: printableAscii })),
  versionId: Type.Optional(Type.String({ maxLength: 1024, pattern: printableAscii })),
  sequencer: Type.Optional(Type.String({ pattern: '^[0-9a-fA-F]{0,64}$' })),
})

const S3Notification = Type.Object({
  Records: Type.Array(
    Type.Object({
      eventVersion: Type.String({ pattern: '^2\\.' }),
      eventSource: Type.Literal('aws:s3'),
      eventName: Type.String(),
      eventTime: Type.String({ maxLength: 40 }),
      s3: Type.Object({
        bucket: Type.Object({ name: Type.String({ minLength: 1, maxLength: 63 }) }),
        object: S3Object,
      }),
    }),
    { minItems: 1, maxItems: 1000 },
  ),
})

const S3TestEvent = Type.Object({ Service: Type.Literal('Amazon S3'), Event: Type.Literal('s3:TestEvent') })

const SnsEnvelope = Type.Object({ Type: Type.Literal('Notification'), TopicArn: Type.String(), Message: Type.String() })

const EventBridgeEvent = Type.Object({
  source: Type.Literal('aws.s3'),
  'detail-type': Type.String({ maxLength: 128 }),
  time: Type.String({ maxLength: 40 }),
  detail: Type.Object({
    bucket: Type.Object({ name: Type.String({ minLength: 1, maxLength: 63 }) }),
    object: Type.Object({
      key: S3Object.properties.key,
      size: S3Object.properties.size,
      etag: S3Object.properties.eTag,
      'version-id': S3Object.properties.versionId,
      sequencer: S3Object.properties.sequencer,
    }),
  }),
})

/**
 * Reads the body of a message: an S3 notification (2.x), the same inside an SNS envelope, an EventBridge "Object
 * Created", `s3:TestEvent`, or our own order of a take. Never throws: what cannot be read comes back as `unreadable` with the reason.
 */
export function readQueueMessage(body: string): QueueMessage {
  const json = parseJson(body)
  if (json === undefined) return { kind: 'unreadable', reason: 'the body is not JSON' }
  if (is(SnsEnvelope, json)) {
    const inner = parseJson(json.Message)
    return inner === undefined
      ? { kind: 'unreadable', reason: 'the message inside the SNS envelope is not JSON' }
      : readEvent(inner)
  }
  return readEvent(json)
}

function readEvent(json: unknown): QueueMessage {
  if (is(TakeOrder, json)) {
    if (!isKey(json.key)) return { kind: 'unreadable', reason: `the key is not ${keyRule}` }
    return { kind: 'order', order: readTakeOrder(json) }
  }
  if (is(S3TestEvent, json)) return { kind: 'nothing', reason: 's3:TestEvent' }
  if (is(S3Notification, json)) {
    const created = json.Records.filter((record) => /^(s3:)?ObjectCreated:/.test(record.eventName))
    return uploadsOf(
      created.map(({ s3, eventTime }) => ({ ...s3.object, bucket: s3.bucket.name, eventTime })),
      decodeFormKey,
    )
  }
  if (is(EventBridgeEvent, json)) {
    if (json['detail-type'] !== 'Object Created') return { kind: 'nothing', reason: json['detail-type'] }
    const { bucket, object } = json.detail
    const { key, size, etag: eTag, 'version-id': versionId, sequencer } = object
    return uploadsOf(
      [{ bucket: bucket.name, key, size, eTag, versionId, sequencer, eventTime: json.time }],
      (raw) => raw,
    )
  }
  return { kind: 'unreadable', reason: describeMismatch(json) }
}

const keyRule = `UTF-8 of at most ${maxKeyBytes} bytes`

type RawObject = { [K in keyof Static<typeof S3Object>]?: Static<typeof S3Object>[K] | undefined } & {
  key: string
  bucket: string
  eventTime: string
}

function uploadsOf(objects: RawObject[], decodeKey: (raw: string) => string | undefined): QueueMessage {
  const uploads: ImageUploaded[] = []
  for (const { bucket, key: rawKey, size, eTag, versionId, sequencer, eventTime } of objects) {
    const key = decodeKey(rawKey)
    if (key === undefined || !isKey(key)) {
      return { kind: 'unreadable', reason: `the key is not ${keyRule}, encoded as S3 does` }
    }
    const etag = (eTag ?? '').replaceAll('"', '')
    const version = versionId && versionId !== 'null' ? versionId : etag
    if (!version) return { kind: 'unreadable', reason: 'the object has neither versionId nor eTag' }
    uploads.push({
      bucket,
      key,
      version,
      ...(version === versionId && { versionId }),
      etag,
      size: size ?? 0,
      sequencer: sequencer ?? '',
      eventTime,
    })
  }
  return uploads.length ? { kind: 'uploads', uploads } : { kind: 'nothing', reason: 'no ObjectCreated record' }
}

/** Keys in S3 notifications are form-encoded: `+` is a space. Undefined when the encoding is broken. */
function decodeFormKey(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

function isKey(key: string): boolean {
  return key.isWellFormed() && Buffer.byteLength(key) <= maxKeyBytes
}

function describeMismatch(json: unknown): string {
  const isOurs = is(Type.Object({ type: TakeOrder.properties.type }), json)
  const [error] = Value.Errors(isOurs ? TakeOrder : S3Notification, json)
  const expected = isOurs ? 'not a promenade.generate' : 'not an S3 event'
  return `${expected}: ${error?.instancePath || 'the body'} ${error?.message ?? 'is of another shape'}`
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function is<S extends TSchema>(schema: S, value: unknown): value is Static<S> {
  return Value.Check(schema, value)
}
