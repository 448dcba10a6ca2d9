import { createHash } from 'node:crypto'

export const uploadsPrefix = 'uploads/'
export const generatedPrefix = 'generated/'

/** S3's limit on a key, in bytes of UTF-8. */
export const maxKeyBytes = 1024

const sequencerDigits = 64
/** Enough for milliseconds until the year 10889. */
const countDigits = 12

/**
 * Why a key can name no picture, or undefined when it can. Keys are the addresses of results, so a key that clients and
 * proxies would resolve to another, or cannot carry, is taken neither from the queue nor by the API.
 */
export function imageKeyFault(key: string): string | undefined {
  if (!key.startsWith(uploadsPrefix) || key === uploadsPrefix) return `does not begin with ${uploadsPrefix} and go on`
  if (!key.isWellFormed()) return 'has half of a surrogate pair'
  const bytes = Buffer.byteLength(key)
  if (bytes > maxKeyBytes) return `has ${bytes} bytes of UTF-8; at most ${maxKeyBytes} are possible`
  if (key.includes('\0')) return 'has a nul byte'
  if (/(^|\/)\.\.?(\/|$)/.test(key)) return 'has a "." or ".." between slashes'
  return undefined
}

/** A key as it stands in a path. */
export function encodeKey(key: string): string {
  return key.split('/').map(encodeURIComponent).join('/')
}

/** One version of one picture. */
export interface ImageVersion {
  bucket: string
  /** Decoded, as the object store takes it. */
  key: string
  /** S3 version id, or the etag in an unversioned bucket. */
  version: string
}

/**
 * The id of one take (0 is the first) on one image version: 32 hexadecimal digits, the first 128 bits of a SHA-256.
 * Every name written downstream derives from it, so that doing the work twice writes the same things.
 */
export function jobId({ bucket, key, version }: ImageVersion, take = 0): string {
  return createHash('sha256')
    .update(JSON.stringify([bucket, key, version, take]))
    .digest('hex')
    .slice(0, 32)
}

/** SHA-256 of bucket and key: what an index on a key of up to 1,024 bytes holds instead of the key. */
export function keyDigest(bucket: string, key: string): string {
  return createHash('sha256')
    .update(JSON.stringify([bucket, key]))
    .digest('hex')
}

/**
 * Where the music of a picture lies: `generated/<key without uploads/>/<id>.wav`. When that would pass S3's 1,024
 * bytes, the end of the picture's part is cut at a whole character; the id alone already makes the name unique.
 */
export function musicKey(imageKey: string, id: string): string {
  const name = imageKey.startsWith(uploadsPrefix) ? imageKey.slice(uploadsPrefix.length) : imageKey
  const room = maxKeyBytes - Buffer.byteLength(`${generatedPrefix}/${id}.wav`)
  return `${generatedPrefix}${truncateUtf8(name, room)}/${id}.wav`
}

/**
 * What the name of music says: its job, and the key of its picture unless that may have been cut. Undefined for what is
 * not named like music.
 */
export function readMusicKey(key: string): { id: string; imageKey: string | undefined } | undefined {
  const [, name, id] = key.match(/^generated\/(.+)\/([0-9a-f]{32})\.wav$/su) ?? []
  if (!name || !id) return undefined
  // A cut leaves less room than one character of at most 4 bytes.
  const whole = Buffer.byteLength(key) <= maxKeyBytes - 4
  return { id, imageKey: whole ? `${uploadsPrefix}${name}` : undefined }
}

function truncateUtf8(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= maxBytes) return text
  let end = maxBytes
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

/** The virtual-hosted HTTPS address of an object; each path segment percent-encoded. */
export function objectUrl({ bucket, region, key }: { bucket: string; region: string; key: string }): string {
  return `https://${bucket}.s3.${region}.amazonaws.com/${encodeKey(key)}`
}

/** The key in an address that objectUrl gave. */
export function objectKey(url: string): string {
  // Not by URL, which resolves what looks like a way up.
  return decodeURIComponent(url.slice(url.indexOf('/', 'https://'.length) + 1))
}

/**
 * S3 sequencers order the events of one key: hexadecimal, the shorter padded with zeros on the right, compared as
 * text. Padding all to one width lets the database compare them.
 */
export function normalizeSequencer(sequencer: string): string {
  return sequencer.toUpperCase().padEnd(sequencerDigits, '0')
}

/**
 * For an upload whose event has not come, and that is known to be the latest of its key: orders it after `latest`, the
 * greatest sequencer that has, and before all that S3 can still send. S3's are opaque but have 18 digits, of which a later
 * one differs in some; so this one counts on in the last 12, by the time in milliseconds where nothing counted before.
 */
export function sequencerAfter(latest: string, uploadedAt: Date): string {
  const sequencer = normalizeSequencer(latest)
  const counted = Number.parseInt(sequencer.slice(-countDigits), 16)
  const next = Math.min(Math.max(counted + 1, uploadedAt.getTime()), 16 ** countDigits - 1)
  return sequencer.slice(0, -countDigits) + next.toString(16).toUpperCase().padStart(countDigits, '0')
}
