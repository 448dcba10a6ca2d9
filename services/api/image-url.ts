import { objectUrl } from '#shared/contract/key.ts'
import type { Wanted } from '#shared/db/results.ts'
import { PermanentFailure } from '#shared/failure.ts'
import { readImageKey } from './image-key.ts'

/** Where the pictures are. */
export interface BucketAddress {
  bucket: string
  region: string
  /** Another address for S3 than Amazon's, at which buckets are the first part of the path. */
  endpoint?: string | undefined
}

/**
 * Which picture of our own bucket an address names; `versionId` names its version, and what a presigned address has
 * besides is left aside. Compared letter for letter with what our bucket's addresses begin with, and never fetched: no
 * look-alike, user, port or redirect can lead elsewhere. Throws PermanentFailure INVALID_REQUEST for all others.
 */
export function readImageUrl(address: string, { bucket, region, endpoint }: BucketAddress): Wanted {
  const bases = [
    objectUrl({ bucket, region, key: '' }),
    `https://${bucket}.s3.amazonaws.com/`,
    `https://s3.${region}.amazonaws.com/${bucket}/`,
    ...(endpoint ? [`${endpoint.replace(/\/$/, '')}/${bucket}/`] : []),
  ]
  const base = bases.find((each) => address.startsWith(each))
  if (!base) throw invalid(`expected image_url to begin with ${bases[0]}`)
  if (address.includes('#')) throw invalid('image_url has a fragment: a # of the key is written %23')
  const key = readImageKey(address, base)
  const query = new URLSearchParams(address.split('?').slice(1).join('?'))
  const unknown = [...query.keys()].find((name) => name !== 'versionId' && !/^(x-(amz|id)|response)(-|$)/i.test(name))
  if (unknown !== undefined) throw invalid('image_url has a query: a ? of the key is written %3F')
  return { key, version: query.get('versionId') || undefined }
}

function invalid(detail: string): PermanentFailure {
  return new PermanentFailure('INVALID_REQUEST', detail)
}
