import { imageKeyFault } from '#shared/contract/key.ts'
import { PermanentFailure } from '#shared/failure.ts'

/**
 * The image key at the end of a request's address, which stands there raw or percent-encoded. It is decoded exactly
 * once, and `+` stays `+`: a router that decodes by itself would do so twice to a key with a `%` in it.
 * Throws PermanentFailure INVALID_REQUEST for what no picture can be named.
 */
export function readImageKey(address: string, path: string): string {
  const [encoded] = address.split('?', 1)
  if (!encoded?.startsWith(path)) throw invalid(`the path must begin with ${path}, not encoded`)
  const key = decode(encoded.slice(path.length))
  const fault = imageKeyFault(key)
  if (fault) throw invalid(`the image key ${fault}`)
  return key
}

function decode(encoded: string): string {
  try {
    return decodeURIComponent(encoded)
  } catch (cause) {
    throw invalid('the image key is not percent-encoded UTF-8', cause)
  }
}

function invalid(detail: string, cause?: unknown): PermanentFailure {
  return new PermanentFailure('INVALID_REQUEST', detail, { cause })
}
