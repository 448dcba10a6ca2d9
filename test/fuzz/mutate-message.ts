import { createDraw, type Draw } from './draw.ts'
import type { Case } from './outcome.ts'

/** The picture that unharmed messages are about. */
export interface Subject {
  bucket: string
  key: string
  etag: string
  size: number
}

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

const oddKeys = [
  '',
  'uploads/',
  'uploads//',
  'uploads/a/',
  'uploads/%00.jpg',
  'uploads/../secret.jpg',
  'uploads/%2e%2e/secret.jpg',
  'uploads/./a.jpg',
  `uploads/${'a'.repeat(1016)}`,
  `uploads/${'a'.repeat(1017)}`,
  `uploads/${'%F0%9F%8E%A8'.repeat(254)}`,
  `uploads/${'%61'.repeat(1100)}`,
  'uploads/100%.jpg',
  'uploads/%FF%FE.jpg',
  'uploads/%ED%A0%80.jpg',
  'uploads/\ud800.jpg',
  'uploads/\udc00\ud800.jpg',
  'uploads/%C0%AF.jpg',
  'uploads/한글+그림.jpg',
  'uploads/\u0001\u001f\u007f\u0085\uffff.jpg',
  'uploads/\u202egpj.jpg',
  `uploads/'; drop table jobs; -- .jpg`,
  'uploads/<script>alert(1)</script>.jpg',
  'uploads/$\u007bjndi:ldap://example.com/a}.jpg',
  'UPLOADS/a.jpg',
  '/uploads/a.jpg',
  'generated/a.wav',
  'https://example.com/uploads/a.jpg',
]

const oddValues: Json[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  2 ** 53,
  -(2 ** 63),
  1e308,
  '',
  ' ',
  'null',
  '0',
  '-1',
  '\ud800',
  '\0',
  'é'.repeat(600),
  'x'.repeat(20_000),
  [],
  [[]],
  {},
  { length: 1e9 },
  ['aws:s3'],
]

const oddSequencers = ['', '0', 'g', '-1', ' 0A', '0x0A', 'a'.repeat(64), 'f'.repeat(65), '00'.repeat(500), '٣']
const oddSizes = [-1, -0.5, 1.5, 2 ** 53 - 1, 2 ** 53, 2 ** 64, 1e308, '12', null]
const oddTimes = [
  '',
  'yesterday',
  '0000-00-00',
  '1969-12-31T23:59:59Z',
  '9999-12-31T23:59:59.999Z',
  '+275760-09-13',
  '2026-02-30',
]
const oddVersions = ['', 'null', '"', '""', 'é', 'a b', 'v'.repeat(1024), 'v'.repeat(1025), '../..', '\u0000']

function record({ bucket, key, etag, size }: Subject, object: { [name: string]: Json } = {}): { [name: string]: Json } {
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: 'us-east-1',
    eventTime: '2026-01-02T03:04:05.678Z',
    eventName: 'ObjectCreated:Put',
    userIdentity: { principalId: 'A' },
    s3: {
      s3SchemaVersion: '1.0',
      bucket: { name: bucket, arn: `arn:aws:s3:::${bucket}` },
      object: { key: key.replaceAll(' ', '+'), size, eTag: etag, sequencer: '0055AED6DCD90281E5', ...object },
    },
  }
}

/** Each kind of message that is read. */
function shapes(subject: Subject): Json[] {
  const { bucket, key, etag, size } = subject
  const notification = { Records: [record(subject)] }
  return [
    notification,
    {
      Records: [
        record(subject),
        record(subject, { key: 'uploads/other.jpg' }),
        record({ ...subject, bucket: 'foreign' }),
      ],
    },
    { Type: 'Notification', TopicArn: 'arn:aws:sns:us-east-1:1:topic', Message: JSON.stringify(notification) },
    {
      version: '0',
      source: 'aws.s3',
      'detail-type': 'Object Created',
      time: '2026-01-02T03:04:05Z',
      detail: { bucket: { name: bucket }, object: { key, size, etag, sequencer: '0A' } },
    },
    { Service: 'Amazon S3', Event: 's3:TestEvent', Bucket: bucket },
    { Records: [{ ...record(subject), eventName: 'ObjectRemoved:Delete' }] },
    { type: 'promenade.generate', bucket, key, version: etag, take: 1, ordered_at: '2026-01-02T03:04:05.678Z' },
  ]
}

type Mutation = (draw: Draw, subject: Subject) => string

const mutations: Record<string, Mutation> = {
  'another value': (draw, subject) => {
    const json = draw.pick(shapes(subject))
    for (let count = 1 + draw.int(3); count > 0; count--) {
      const [owner, name] = draw.pick(fields(json))
      owner[name] = structuredClone(draw.pick(oddValues))
    }
    return JSON.stringify(json)
  },
  'a field missing': (draw, subject) => {
    const json = draw.pick(shapes(subject))
    const [owner, name] = draw.pick(fields(json))
    delete owner[name]
    return JSON.stringify(json)
  },
  'fields more': (draw, subject) => {
    const more = draw.pick(['__proto__', 'constructor', 'toString', 'Records', 'detail', 'x'.repeat(9_999)])
    const [owner] = draw.pick(fields(draw.pick(shapes(subject))))
    return `{${JSON.stringify(more)}:${JSON.stringify(draw.pick(oddValues))},${JSON.stringify(owner).slice(1)}`
  },
  'another key': (draw, subject) => event(draw, subject, { key: draw.pick(oddKeys) }),
  'another size': (draw, subject) => event(draw, subject, { size: draw.pick(oddSizes) }),
  'another sequencer': (draw, subject) => event(draw, subject, { sequencer: draw.pick(oddSequencers) }),
  'another version': (draw, subject) =>
    event(draw, subject, { [draw.pick(['eTag', 'etag', 'versionId', 'version-id'])]: draw.pick(oddVersions) }),
  'another time': (draw, subject) =>
    JSON.stringify({ Records: [{ ...record(subject), eventTime: draw.pick(oddTimes) }] }),
  'good and bad together': (draw, subject) => {
    const records = Array.from({ length: draw.pick([0, 2, 5, 20, 1001]) }, () =>
      draw.int(2) ? record(subject) : record(subject, { key: draw.pick(oddKeys), size: draw.pick([1, -1]) }),
    )
    return JSON.stringify({ Records: records })
  },
  'deep in itself': (draw, subject) => {
    const depth = draw.pick([10, 1_000, 30_000])
    let sns = JSON.stringify(draw.pick(shapes(subject)))
    for (let times = 0; times < 5; times++) sns = JSON.stringify({ Type: 'Notification', TopicArn: 'a', Message: sns })
    return draw.pick([
      sns,
      `${'['.repeat(depth)}${']'.repeat(depth)}`,
      `${'{"Records":'.repeat(depth)}1${'}'.repeat(depth)}`,
      `{"Records":[${'{"s3":'.repeat(depth)}1${'}'.repeat(depth)}]}`,
      '['.repeat(depth),
    ])
  },
  huge: (draw, subject) =>
    event(draw, subject, { [draw.pick(['key', 'eTag', 'sequencer', 'more'])]: 'a'.repeat(250_000) }),
  'flipped bits': (draw, subject) => {
    const bytes = Buffer.from(JSON.stringify(draw.pick(shapes(subject))))
    for (let count = 1 + draw.int(5); count > 0; count--) bytes[draw.int(bytes.length)]! ^= 1 << draw.int(8)
    return bytes.toString()
  },
  'cut off': (draw, subject) => {
    const text = JSON.stringify(draw.pick(shapes(subject)))
    return text.slice(0, 1 + draw.int(text.length - 1))
  },
  'written otherwise': (draw, subject) => {
    const text = JSON.stringify(draw.pick(shapes(subject)))
    return draw.pick([
      `\ufeff${text}`,
      Buffer.from(text, 'utf16le').toString('latin1').replaceAll('\0', ' '),
      Buffer.from(text).toString('base64'),
      encodeURIComponent(text),
      JSON.stringify(text),
      text + text,
      text.replaceAll('"', "'"),
      text.replace('}', ',}'),
      text.replace(/\d+/, 'NaN'),
      text.replace(/"size":\d+/, '"size":1e999'),
      `<?xml version="1.0"?><Message>${text.replaceAll('<', '')}</Message>`,
    ])
  },
  unharmed: (draw, subject) => JSON.stringify(draw.pick(shapes(subject))),
}

export type MessageCase = Case & { body: string }

/** Makes the mutated messages of a seed: the same seed, number and subject give the same body. */
export function messageMutator(seed: number, subject: Subject): (number: number) => MessageCase {
  return (number) => {
    const draw = createDraw(seed, 1, number)
    const [mutation, mutate] = draw.pick(Object.entries(mutations))
    return { kind: 'message', number, group: 'messages', origin: mutation, body: mutate(draw, subject) }
  }
}

/** A notification of S3 or an event of EventBridge about another object. */
function event(draw: Draw, subject: Subject, object: { [name: string]: Json }): string {
  const notification = { Records: [record(subject, object)] }
  const { detail, ...bridge } = shapes(subject)[3] as { detail: { object: object } }
  const bridged = { ...bridge, detail: { ...detail, object: { ...detail.object, ...object } } }
  return JSON.stringify(draw.pick([notification, notification, bridged]))
}

/** Every field in it, as its owner and its name. */
function fields(json: Json): [owner: { [name: string]: Json }, name: string][] {
  if (typeof json !== 'object' || json === null) return []
  const owner = json as { [name: string]: Json }
  return Object.keys(owner).flatMap((name) => [[owner, name] as [typeof owner, string], ...fields(owner[name]!)])
}
