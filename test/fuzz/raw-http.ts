import { connect } from 'node:net'

export interface RawRequest {
  method: string
  /** As it goes out, fit to be one or not. */
  target: string
  headers: [name: string, value: string][]
  body?: Buffer | undefined
  /** What is said of its length does not hold: nothing more is sent. */
  isCut?: boolean
}

export interface RawResponse {
  status: number
  /** Of the head: names in lower case. */
  headers: Map<string, string>
  body: string
  /** All that came. */
  text: string
}

const patienceMs = 10_000

/**
 * Sends a request byte for byte, which no client of HTTP would do, on a connection of its own. Undefined when it is closed
 * without an answer; a stream of events is read up to the first.
 */
export async function sendRaw(
  port: number,
  { method, target, headers, body, isCut }: RawRequest,
): Promise<RawResponse | undefined> {
  const lines = [`${method} ${target} HTTP/1.1`, ...headers.map(([name, value]) => `${name}: ${value}`), '', '']
  const socket = connect({ host: '127.0.0.1', port })
  const chunks: Buffer[] = []
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${patienceMs} ms`)), patienceMs)
  socket.on('data', (chunk) => {
    chunks.push(chunk)
    if (isWhole(Buffer.concat(chunks), method)) resolve()
  })
  socket.on('close', () => resolve())
  // It may answer, and close, before it has read all.
  socket.on('error', () => resolve())
  socket.write(Buffer.concat([Buffer.from(lines.join('\r\n'), 'latin1'), body ?? Buffer.alloc(0)]))
  if (isCut) socket.end()
  try {
    await promise
  } finally {
    clearTimeout(timer)
    socket.destroy()
  }
  return readResponse(Buffer.concat(chunks))
}

/** As far as can be told before the connection is closed. */
function isWhole(bytes: Buffer, method: string): boolean {
  const answer = readResponse(bytes)
  if (!answer || answer.status === 100) return false
  const { status, headers, text } = answer
  const rest = bytes.length - bytes.indexOf('\r\n\r\n') - 4
  if (method === 'HEAD' || status === 204 || status === 304) return true
  if (headers.get('content-type') === 'text/event-stream') return /\ndata: .*\n\n/.test(text)
  if (headers.get('transfer-encoding') === 'chunked') return text.endsWith('\r\n0\r\n\r\n')
  return rest >= Number(headers.get('content-length') ?? Number.POSITIVE_INFINITY)
}

function readResponse(bytes: Buffer): RawResponse | undefined {
  const split = bytes.indexOf('\r\n\r\n')
  if (split < 0) return undefined
  const [first = '', ...lines] = bytes.toString('latin1', 0, split).split('\r\n')
  // 100 Continue comes before the answer.
  if (first.includes(' 100 ')) return readResponse(bytes.subarray(split + 4))
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const rest = bytes.subarray(split + 4)
  const body = headers.get('transfer-encoding') === 'chunked' ? unchunk(rest) : rest
  return { status: Number(first.split(' ')[1]), headers, body: body.toString(), text: bytes.toString('latin1') }
}

function unchunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ; ) {
    const end = bytes.indexOf('\r\n', at)
    const length = end < 0 ? 0 : Number.parseInt(bytes.toString('latin1', at, end), 16)
    if (!length) return Buffer.concat(parts)
    parts.push(bytes.subarray(end + 2, end + 2 + length))
    at = end + 2 + length + 2
  }
}
