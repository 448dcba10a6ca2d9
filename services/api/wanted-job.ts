import Type from 'typebox'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import { imageKeyFault, maxKeyBytes } from '#shared/contract/key.ts'
import type { ImageUploaded } from '#shared/contract/queue-message.ts'
import type { Wanted } from '#shared/db/results.ts'
import { PermanentFailure } from '#shared/failure.ts'

/** For bodies that name a picture. */
export const imageFields = {
  key: Type.String({ minLength: 1, maxLength: maxKeyBytes, description: 'The image key, beginning with uploads/' }),
  version: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 1024,
      description: 'S3 version id, or the etag in an unversioned bucket; the newest when absent',
    }),
  ),
}

/** The header of the IETF draft of that name. Opaque to us. */
export const idempotencyHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: '^[ -~]+$',
      description: 'Chosen by the caller, once for each intent: the same call with the same key is answered as before',
    }),
  ),
})

/** Throws PermanentFailure INVALID_REQUEST for what no picture can be named. */
export function checkImageKey(key: string): void {
  const fault = imageKeyFault(key)
  if (fault) throw new PermanentFailure('INVALID_REQUEST', `the image key ${fault}`)
}

/**
 * The same by the version that its job goes by: while the versioning of a bucket is suspended, S3 calls every upload `null`,
 * and here it goes by its etag.
 */
export async function nameVersion<T extends Wanted>(
  objects: Pick<ObjectStore, 'head'>,
  wanted: T,
  signal: AbortSignal,
): Promise<T> {
  if (wanted.version !== 'null') return wanted
  const found = await objects.head(wanted.key, signal, 'null')
  return found ? { ...wanted, version: found.etag } : wanted
}

/** What lies in the bucket under this key, if it is of the version that is wanted: its event has perhaps not come yet. */
export async function findUpload(
  objects: Pick<ObjectStore, 'head'>,
  { key, version: wanted }: Wanted,
  signal: AbortSignal,
): Promise<Omit<ImageUploaded, 'bucket' | 'sequencer'> | undefined> {
  const found = await objects.head(key, signal)
  if (!found) return undefined
  const { etag, size, lastModified } = found
  const versionId = found.versionId === 'null' ? undefined : found.versionId
  const version = versionId ?? etag
  if (wanted !== undefined && wanted !== version) return undefined
  return { key, version, ...(versionId && { versionId }), etag, size, eventTime: lastModified.toISOString() }
}
