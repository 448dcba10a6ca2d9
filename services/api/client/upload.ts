import type { Act } from './actions.ts'
import type { Connection } from './connection.ts'
import type { PictureType, PresignedUpload, UploadOrder } from './contract.ts'
import { PromenadeError } from './promenade-error.ts'

/** A file by its address, as React Native has it. */
interface FileByUri {
  uri: string
  type?: string
  name?: string
}

export type Picture = Blob | ArrayBuffer | Uint8Array | FileByUri

export interface UploadOptions extends Act {
  /** When the picture does not know its own. */
  contentType?: PictureType | undefined
  /** What the user calls it. */
  filename?: string | undefined
  /** The form of POST does for every platform; PUT sends the bytes alone, and not a file by its address. */
  method?: 'POST' | 'PUT' | undefined
  timeoutMs?: number | undefined
}

const defaultTimeoutMs = 5 * 60_000

/** Brings pictures to the bucket. */
export function createUploads({ ask, exchange, persist }: Connection) {
  return { createUpload, upload }

  /** Asks where a picture may be put, for an app that sends it by itself. */
  async function createUpload(order: UploadOrder, { signal }: Act = {}): Promise<PresignedUpload> {
    return (await persist(() => ask<PresignedUpload>({ path: '/v1/uploads', body: order, signal }), signal)).body
  }

  /** Uploads a picture; its key is what to ask for the result by. */
  async function upload(picture: Picture, options: UploadOptions = {}): Promise<PresignedUpload> {
    const { signal, method = 'POST', timeoutMs = defaultTimeoutMs } = options
    const { part, type, name, size } = partOf(picture, options)
    const order = {
      // The API refuses another.
      content_type: type as PictureType,
      method,
      ...(size !== undefined && { size_bytes: size }),
      ...(name && { filename: name }),
    }
    const presigned = await createUpload(order, { signal })
    const { upload } = presigned
    const request =
      upload.method === 'POST'
        ? { method: 'POST', body: formOf(upload.fields, part) }
        : { method: 'PUT', body: part, headers: upload.headers }
    const send = () => exchange(upload.url, request, { signal, timeoutMs }, async () => {})
    await persist(send, signal).catch((error: unknown) => {
      const { code, status, retryable = false } = error instanceof PromenadeError ? error : {}
      if (code !== 'UNEXPECTED_ANSWER') throw error
      throw new PromenadeError('UPLOAD_REFUSED', `The bucket answered ${status}`, { status, retryable, cause: error })
    })
    return presigned
  }
}

/** The bucket ignores what comes after the file. */
function formOf(fields: Record<string, string>, part: Blob): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  form.append('file', part)
  return form
}

function partOf(picture: Picture, { contentType, filename }: UploadOptions) {
  const { type = '', name = '' } = picture as { type?: string; name?: string }
  const known = { type: contentType ?? type, name: filename ?? name }
  if (!known.type) throw new TypeError('Expected contentType, such as image/jpeg, since the picture does not tell')
  // React Native's FormData takes an object of this shape where others take a Blob.
  if ('uri' in picture) return { ...known, part: { ...picture, ...known } as unknown as Blob, size: undefined }
  const part = picture instanceof Blob ? picture : new Blob([picture as ArrayBuffer])
  return { ...known, part, size: part.size }
}
