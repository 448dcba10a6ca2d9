import { PromenadeError } from '../client/client.ts'

/** Between two signs that the upload goes on. */
const silenceMs = 60_000

/**
 * Uploads by a presigned form, telling how much of it is sent, 0 to 1, as fetch cannot. Throws PromenadeError, or the
 * signal's reason.
 */
export function sendForm(
  { url, fields }: { url: string; fields: Record<string, string> },
  file: Blob,
  { signal, onProgress }: { signal: AbortSignal; onProgress: (sent: number) => void },
): Promise<void> {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) form.append(name, value)
  // The bucket ignores what comes after it.
  form.append('file', file)
  const request = new XMLHttpRequest()
  let silence: ReturnType<typeof setTimeout> | undefined
  const abort = () => request.abort()
  return new Promise<void>((resolve, reject) => {
    const fail = (...[code, message, details]: ConstructorParameters<typeof PromenadeError>) =>
      reject(new PromenadeError(code, message, details))
    const listen = () => {
      clearTimeout(silence)
      silence = setTimeout(() => {
        fail('TIMEOUT', 'The upload came to a standstill', { retryable: true })
        request.abort()
      }, silenceMs)
    }
    request.upload.onprogress = ({ loaded, total }) => {
      listen()
      if (total > 0) onProgress(loaded / total)
    }
    request.onload = () => {
      const { status, responseText } = request
      if (status >= 200 && status < 300) return resolve()
      const reason = responseText.match(/<Code>(\w+)<\/Code>/)?.[1] ?? ''
      fail('UPLOAD_REFUSED', `The bucket answered ${status} ${reason}`.trim(), { status, retryable: status >= 500 })
    }
    request.onerror = () => fail('NETWORK_ERROR', 'The connection failed', { retryable: true })
    request.onabort = () => reject(signal.reason)
    signal.throwIfAborted()
    signal.addEventListener('abort', abort)
    request.open('POST', url)
    request.send(form)
    listen()
  }).finally(() => {
    clearTimeout(silence)
    signal.removeEventListener('abort', abort)
  })
}
