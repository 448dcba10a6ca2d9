import { GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { createPresignedPost } from '@aws-sdk/s3-presigned-post'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { withDeadline } from '../deadline.ts'
import { RetryableFailure } from '../failure.ts'

interface Download {
  key: string
  /** The newest when absent. */
  versionId?: string | undefined
  /** Whether a browser shows or saves it; as it was stored when absent. */
  disposition?: 'inline' | 'attachment' | undefined
  expiresInSeconds: number
  /** Who asks again within this time, counted by the clock, is given the same address. It lives for as much longer. */
  sameForSeconds?: number | undefined
}

interface Upload {
  key: string
  contentType: string
  /** The user's metadata of the object. Values must be ASCII. */
  metadata?: Record<string, string>
  expiresInSeconds: number
}

/** For all that signing waits for. */
const credentialsTimeoutMs = 10_000
const late = () => new Error(`no credentials within ${credentialsTimeoutMs / 1000} s`)

export type Presigner = ReturnType<typeof createPresigner>

/**
 * Addresses with which whoever has them may do one thing to one object of the bucket, until `expiresAt`: what is asked
 * for, or sooner, when the credentials that sign end sooner. `s3` is a client for presigning. Nothing is asked of S3.
 * Throws RetryableFailure STORAGE_UNAVAILABLE when there are no credentials.
 */
export function createPresigner({ s3, bucket }: { s3: S3Client; bucket: string }) {
  async function sign<T>(expiresInSeconds: number, run: () => Promise<T>): Promise<T & { expiresAt: Date }> {
    try {
      const { expiration } = await withDeadline(s3.config.credentials(), credentialsTimeoutMs, late)
      // A signature counts in whole seconds.
      const end = (Math.floor(Date.now() / 1000) + expiresInSeconds) * 1000
      return { ...(await run()), expiresAt: new Date(Math.min(end, expiration?.getTime() ?? end)) }
    } catch (cause) {
      const reason = cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause)
      throw new RetryableFailure('STORAGE_UNAVAILABLE', `signing an address failed: ${reason}`, { cause })
    }
  }

  return {
    /** At `expiresAt` the address may still be good for `sameForSeconds`. */
    async get({ key, versionId, disposition, expiresInSeconds, sameForSeconds = 1 }: Download) {
      return sign(expiresInSeconds, async () => {
        const object = { Bucket: bucket, Key: key, VersionId: versionId, ResponseContentDisposition: disposition }
        const now = Math.floor(Date.now() / 1000)
        const url = await getSignedUrl(s3, new GetObjectCommand(object), {
          signingDate: new Date((now - (now % sameForSeconds)) * 1000),
          expiresIn: expiresInSeconds + sameForSeconds - 1,
        })
        return { url }
      })
    },

    /** The form's fields, to be sent before the file. The policy in them takes no other key, type, metadata or size. */
    async post({
      key,
      contentType,
      minBytes,
      maxBytes,
      metadata = {},
      expiresInSeconds,
    }: Upload & { minBytes: number; maxBytes: number }) {
      return sign(expiresInSeconds, () =>
        createPresignedPost(s3, {
          Bucket: bucket,
          Key: key,
          Fields: { 'Content-Type': contentType, ...metadataHeaders(metadata) },
          Conditions: [['content-length-range', minBytes, maxBytes]],
          Expires: expiresInSeconds,
        }),
      )
    },

    /** The headers must be sent as they are, and the length, which every client sends by itself, is signed, too. */
    async put({ key, contentType, bytes, metadata = {}, expiresInSeconds }: Upload & { bytes: number }) {
      return sign(expiresInSeconds, async () => {
        const headers = { 'content-type': contentType, ...metadataHeaders(metadata) }
        const object = { Bucket: bucket, Key: key, ContentType: contentType, ContentLength: bytes, Metadata: metadata }
        const url = await getSignedUrl(s3, new PutObjectCommand(object), {
          expiresIn: expiresInSeconds,
          signableHeaders: new Set(['host', 'content-length', ...Object.keys(headers)]),
          // Metadata stays in the headers, as S3 reads it.
          unhoistableHeaders: new Set(Object.keys(headers)),
        })
        return { url, headers }
      })
    },
  }
}

function metadataHeaders(metadata: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).map(([name, value]) => [`x-amz-meta-${name}`, value]))
}
