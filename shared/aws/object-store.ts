import { createHash } from 'node:crypto'
import { addAbortSignal, type Readable } from 'node:stream'
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'
import { untilAborted } from '../deadline.ts'
import { PermanentFailure, RetryableFailure } from '../failure.ts'

/** One object, and which version of it. */
interface ObjectVersion {
  key: string
  versionId?: string | undefined
  /** Without quotes. Asked for only when there is no version id. */
  etag?: string | undefined
}

export interface ListedObject {
  key: string
  /** Without quotes. */
  etag: string
  /** Bytes. */
  size: number
  /** By S3's clock; real S3 counts in whole seconds. */
  lastModified: Date
}
/** Of an object of ours that is read back. */
const maxStoredBytes = 64 * 2 ** 20

export type ObjectStore = ReturnType<typeof createObjectStore>

/**
 * The bucket. Every call takes a signal and throws its reason when it is aborted; a store that is away or refuses
 * throws RetryableFailure STORAGE_UNAVAILABLE. `timeoutMs` bounds each call as a whole, retries and body included.
 */
export function createObjectStore({
  s3,
  bucket,
  timeoutMs = 60_000,
}: {
  s3: S3Client
  bucket: string
  timeoutMs?: number
}) {
  async function call<T>(signal: AbortSignal, what: string, run: (bounded: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    // Neither AbortSignal.timeout nor AbortSignal.any, which outlive the call.
    const bounded = new AbortController()
    const abort = () => bounded.abort(signal.reason)
    signal.addEventListener('abort', abort)
    const timer = setTimeout(() => bounded.abort(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs)
    try {
      // The SDK itself hears of the signal only once it has credentials.
      return await untilAborted(run(bounded.signal), bounded.signal)
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof PermanentFailure) throw error
      throw new RetryableFailure('STORAGE_UNAVAILABLE', `${what} failed: ${reasonOf(error)}`, { cause: error })
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
    }
  }

  return {
    /**
     * The bytes and the user's metadata of exactly the version named. Throws PermanentFailure IMAGE_NOT_FOUND when the bucket has no bytes under
     * that name, be it gone, overwritten, archived or no possible name; IMAGE_TOO_LARGE past `maxBytes`, of which no more
     * than that are ever held.
     */
    async get(
      { key, versionId, etag }: ObjectVersion,
      { maxBytes, signal }: { maxBytes: number; signal: AbortSignal },
    ): Promise<{ bytes: Buffer; metadata: Record<string, string> }> {
      return call(signal, 'reading the picture', async (bounded) => {
        const version = versionId ? { VersionId: versionId } : etag ? { IfMatch: `"${etag}"` } : {}
        const {
          Body: body,
          ContentLength: length,
          Metadata: metadata = {},
        } = await s3
          .send(new GetObjectCommand({ Bucket: bucket, Key: key, ...version }), { abortSignal: bounded })
          .catch((error: unknown) => {
            throw notFound(error) ?? error
          })
        const bytes = await readBounded(addAbortSignal(bounded, body as Readable), length, maxBytes)
        return { bytes, metadata }
      })
    },

    /**
     * Stores an object under a name that is taken once for all. Returns what is there: `body`, or what was stored before and
     * stays.
     */
    async put({
      key,
      body,
      contentType,
      signal,
    }: {
      key: string
      body: Buffer
      contentType: string
      signal: AbortSignal
    }): Promise<Buffer> {
      return call(signal, 'writing the music', async (bounded) => {
        const object = { Bucket: bucket, Key: key }
        try {
          const content = { Body: body, ContentLength: body.length, ContentType: contentType }
          await s3.send(new PutObjectCommand({ ...object, ...content, IfNoneMatch: '*' }), { abortSignal: bounded })
          return body
        } catch (error) {
          if (!(error instanceof S3ServiceException) || error.$metadata.httpStatusCode !== 412) throw error
        }
        const stored = await s3.send(new GetObjectCommand(object), { abortSignal: bounded })
        return readBounded(addAbortSignal(bounded, stored.Body as Readable), stored.ContentLength, maxStoredBytes)
      })
    },

    /** The newest version of an object, or the one named; undefined when there is none. */
    async head(
      key: string,
      signal: AbortSignal,
      versionId?: string,
    ): Promise<{ etag: string; versionId?: string; size: number; lastModified: Date } | undefined> {
      return call(signal, 'looking for the object', async (bounded) => {
        try {
          const command = new HeadObjectCommand({ Bucket: bucket, Key: key, VersionId: versionId })
          const found = await s3.send(command, { abortSignal: bounded })
          return {
            etag: (found.ETag ?? '').replaceAll('"', ''),
            ...(found.VersionId && { versionId: found.VersionId }),
            size: found.ContentLength ?? 0,
            lastModified: found.LastModified ?? new Date(0),
          }
        } catch (error) {
          // A name that no version of this bucket has.
          if (isGone(error) || (versionId !== undefined && isRefused(error))) return undefined
          throw error
        }
      })
    },

    /** The newest versions of all objects whose keys begin so, by key, in pages of at most 1,000. */
    async *list(prefix: string, signal: AbortSignal): AsyncGenerator<ListedObject[], void> {
      let token: string | undefined
      do {
        // Encoded, since XML cannot carry every character that a key may have.
        const page = new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: prefix,
          EncodingType: 'url',
          ContinuationToken: token,
        })
        const found = await call(signal, 'listing the bucket', (bounded) => s3.send(page, { abortSignal: bounded }))
        const encoded = found.EncodingType === 'url'
        yield (found.Contents ?? []).map(({ Key: key = '', ETag: etag = '', Size: size = 0, LastModified }) => ({
          key: encoded ? decodeURIComponent(key.replaceAll('+', ' ')) : key,
          etag: etag.replaceAll('"', ''),
          size,
          lastModified: LastModified ?? new Date(0),
        }))
        token = found.NextContinuationToken
      } while (token)
    },

    /** SHA-256 of the newest version, in hexadecimal; undefined when there is none. Holds a piece of it at a time. */
    async digest(key: string, signal: AbortSignal): Promise<string | undefined> {
      return call(signal, 'reading the object', async (bounded) => {
        try {
          const { Body: body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }), {
            abortSignal: bounded,
          })
          const hash = createHash('sha256')
          for await (const chunk of addAbortSignal(bounded, body as Readable)) hash.update(chunk)
          return hash.digest('hex')
        } catch (error) {
          if (isGone(error)) return undefined
          throw error
        }
      })
    },

    /** In a versioned bucket older versions stay, and this one becomes one of them. */
    async delete(key: string, signal: AbortSignal): Promise<void> {
      await call(signal, 'deleting the object', (bounded) =>
        s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }), { abortSignal: bounded }),
      )
    },

    /** Resolves when the bucket exists and answers us. */
    async ping(signal: AbortSignal): Promise<void> {
      await call(signal, 'reaching the bucket', (bounded) =>
        s3.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal: bounded }),
      )
    },
  }
}

async function readBounded(body: Readable, length: number | undefined, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    if (length !== undefined && length > maxBytes) throw tooLarge(`${length} bytes`, maxBytes)
    for await (const chunk of body) {
      bytes += chunk.length
      if (bytes > maxBytes) throw tooLarge(`more than ${maxBytes} bytes`, maxBytes)
      chunks.push(chunk)
    }
  } finally {
    body.destroy()
  }
  if (length !== undefined && bytes !== length) throw new Error(`the body ended after ${bytes} of ${length} bytes`)
  return Buffer.concat(chunks, bytes)
}

function tooLarge(found: string, maxBytes: number): PermanentFailure {
  return new PermanentFailure('IMAGE_TOO_LARGE', `The picture has ${found}; at most ${maxBytes} are accepted`)
}

/** Undefined for what the picture is not to blame for. */
function notFound(cause: unknown): PermanentFailure | undefined {
  const message = isGone(cause)
    ? 'This version of the picture is gone or overwritten'
    : isArchived(cause)
      ? 'The picture is archived: restore it, then upload it again'
      : isRefused(cause) && `S3 takes no such key or version: ${reasonOf(cause)}`
  return message ? new PermanentFailure('IMAGE_NOT_FOUND', message, { cause }) : undefined
}

/**
 * Missing object or version (404), overwritten since (412), a delete marker (405).
 * A missing bucket is a fault of the settings instead, and no picture's.
 */
function isGone(error: unknown): boolean {
  if (!(error instanceof S3ServiceException) || error.name === 'NoSuchBucket') return false
  const status = error.$metadata.httpStatusCode
  return status === 404 || status === 405 || status === 412
}

function isArchived(error: unknown): boolean {
  return error instanceof S3ServiceException && error.name === 'InvalidObjectState'
}

/** What is asked for is refused (400), and not because of our credentials, their region, a slow request or a key of KMS. */
function isRefused(error: unknown): boolean {
  if (!(error instanceof S3ServiceException) || error.$metadata.httpStatusCode !== 400) return false
  return !/^(ExpiredToken|InvalidToken|TokenRefreshRequired|AuthorizationHeader|RequestTimeout|KMS\.)/.test(error.name)
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const hint = error.name === 'AccessDenied' ? ' (without s3:ListBucket, S3 says so of what is missing, too)' : ''
  return `${error.name}: ${error.message}${hint}`
}
