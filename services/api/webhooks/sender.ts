import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { guardLookup, unreachable } from './address.ts'

interface Message {
  url: URL
  headers: Record<string, string>
  body: string
  signal: AbortSignal
}

/** What a receiver said; its words are of no interest, and are not read. */
interface Answer {
  status: number
  retryAfter: string | undefined
}

export type Send = (message: Message) => Promise<Answer>

/** As the specification recommends: 15 to 30 s. */
const answerTimeoutMs = 15_000

/**
 * Posts over a connection of its own, to an address that may be reached, whatever the name resolves to. Redirects are answers
 * like others. Throws when there is no answer.
 */
export function createSender({
  mayReach,
  lookup,
  timeoutMs = answerTimeoutMs,
}: {
  mayReach: (address: string) => boolean
  lookup?: Parameters<typeof guardLookup>[1]
  timeoutMs?: number
}): Send {
  const guarded = guardLookup(mayReach, lookup)

  return async ({ url, headers, body, signal }) => {
    const literal = url.hostname.replace(/^\[|\]$/g, '')
    if (isIP(literal) && !mayReach(literal)) throw unreachable(literal)
    const timeout = AbortSignal.timeout(timeoutMs)
    const request = (url.protocol === 'https:' ? https : http).request(url, {
      method: 'POST',
      headers: { ...headers, 'content-length': Buffer.byteLength(body) },
      agent: false,
      lookup: guarded,
      signal: AbortSignal.any([signal, timeout]),
    })
    request.end(body)
    try {
      const response = await answerTo(request)
      return { status: response.statusCode!, retryAfter: response.headers['retry-after'] }
    } catch (error) {
      throw timeout.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error
    } finally {
      request.destroy()
    }
  }
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve)
    // Of status 101; the socket is ours from here on.
    request.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve(response)
    })
    request.on('error', reject)
    request.on('close', () => reject(new Error('the connection was closed without an answer')))
  })
}
