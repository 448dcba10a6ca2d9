import { type Clock, createDeadline, throwIfAborted } from './clock.ts'
import { readEvents, type ServerSentEvent } from './event-stream.ts'
import { PromenadeError, readError } from './promenade-error.ts'

export interface ConnectionOptions {
  /** Where the API is, such as https://api.example.com. */
  baseUrl: string
  apiKey?: string | undefined
  /** Another one than the platform's. */
  fetch?: typeof fetch | undefined
  /** Whether answers can be read while they come; React Native's own fetch cannot, and is told apart without this. */
  streaming?: boolean | undefined
}

export interface Call {
  path: string
  query?: Record<string, string | number | undefined> | undefined
  headers?: Record<string, string | undefined> | undefined
  /** Sent as JSON, by POST. */
  body?: unknown
  signal?: AbortSignal | undefined
  /** For the whole answer; of a stream, for each piece of it. */
  timeoutMs?: number | undefined
}

export interface Answer<T> {
  body: T
  status: number
  headers: Headers
}

const defaultTimeoutMs = 30_000
/** The API sends a sign of life every 15 s. */
const silenceMs = 45_000
const maxAttempts = 4
const backoff = { firstMs: 500, mostMs: 30_000 }
/** Who is asked to wait longer than this is told so instead. */
const mostRetryAfterSeconds = 60

export type Connection = ReturnType<typeof createConnection>

/**
 * What every call needs. All throw PromenadeError, or the reason of the signal that ended them, and TypeError for what can
 * never be sent.
 */
export function createConnection({ baseUrl, apiKey, ...options }: ConnectionOptions, clock: Clock) {
  const origin = baseUrl.replace(/\/+$/, '')
  expectSendable({ baseUrl, apiKey, ...options })
  // A browser's fetch wants to be called on nothing.
  const send = options.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args))
  // A browser's cache would hold a call back until another of the same address is answered, and make it conditional. React
  // Native's fetch, which knows no caches, would ask for another address instead.
  const uncached = typeof Request === 'function' && 'cache' in Request.prototype && { cache: 'no-store' as const }

  return {
    clock,
    pause,
    persist,
    exchange,

    canStream: options.streaming ?? (typeof Response === 'function' && 'body' in Response.prototype),

    /** Asks once. The body of an answer without content is undefined. */
    ask<T>(call: Call): Promise<Answer<T>> {
      return exchange(addressOf(call), requestOf(call), call, async (response) => ({
        status: response.status,
        headers: response.headers,
        body: (response.status === 304 ? undefined : await response.json()) as T,
      }))
    },

    /**
     * The events of an answer, whose data is JSON; undefined instead of the first one where answers cannot be read while
     * they come.
     */
    async *events<T>(call: Call): AsyncGenerator<(Omit<ServerSentEvent, 'data'> & { data: T }) | undefined, void> {
      throwIfAborted(call.signal)
      const deadline = createDeadline(call.timeoutMs ?? silenceMs, call.signal)
      try {
        deadline.start()
        const headers = { ...call.headers, accept: 'text/event-stream' }
        const response = await begin(addressOf(call), requestOf({ ...call, headers }), deadline.signal)
        if (!response.body) return yield undefined
        for await (const event of readEvents(response.body, deadline)) yield { ...event, data: JSON.parse(event.data) }
      } catch (cause) {
        throw failureOf(cause, call.signal, deadline.signal.aborted)
      } finally {
        deadline.close()
      }
    },
  }

  /** One request and its answer, as `read` reads it. */
  async function exchange<T>(
    url: string,
    request: RequestInit,
    { signal, timeoutMs = defaultTimeoutMs }: { signal?: AbortSignal | undefined; timeoutMs?: number | undefined },
    read: (response: Response) => Promise<T>,
  ): Promise<T> {
    throwIfAborted(signal)
    const deadline = createDeadline(timeoutMs, signal)
    try {
      deadline.start()
      return await read(await begin(url, request, deadline.signal))
    } catch (cause) {
      throw failureOf(cause, signal, deadline.signal.aborted)
    } finally {
      deadline.close()
    }
  }

  async function begin(url: string, request: RequestInit, signal: AbortSignal): Promise<Response> {
    const response = await send(url, { ...request, credentials: 'omit', signal })
    if (response.ok || response.status === 304) return response
    throw await readError(response)
  }

  function addressOf({ path, query = {} }: Call): string {
    const given = Object.entries(query).filter(([, value]) => value !== undefined)
    const text = given.map((pair) => pair.map((part) => encode(String(part))).join('=')).join('&')
    return `${origin}${path}${text && `?${text}`}`
  }

  function requestOf({ headers = {}, body }: Call): RequestInit {
    const given = Object.entries({
      ...headers,
      authorization: apiKey && `Bearer ${apiKey}`,
      'content-type': body === undefined ? undefined : 'application/json',
    }).filter((pair): pair is [string, string] => pair[1] !== undefined)
    return {
      headers: Object.fromEntries(given),
      ...uncached,
      ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
    }
  }

  /** Does it again while it may succeed later, a few times at most. */
  async function persist<T>(run: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    for (let failures = 1; ; failures++) {
      try {
        return await run()
      } catch (error) {
        if (failures === maxAttempts) throw error
        await pause(error, failures, signal)
      }
    }
  }

  /**
   * Waits before the next try, the longer the more have failed, and at least as long as the API asks for. Throws what
   * trying again does not help against.
   */
  async function pause(error: unknown, failures: number, signal: AbortSignal | undefined): Promise<void> {
    const { retryable = false, retryAfterSeconds: asked = 0 } = error instanceof PromenadeError ? error : {}
    if (!retryable || asked > mostRetryAfterSeconds) throw error
    const most = Math.min(backoff.firstMs * 2 ** Math.min(failures - 1, 10), backoff.mostMs)
    // Spread, so that not all who were turned away come back at once.
    await clock.sleep(asked * 1000 + most * (0.5 + clock.random() / 2), signal)
  }
}

/** Percent-encoded. */
export function encode(text: string): string {
  try {
    return encodeURIComponent(text)
  } catch {
    throw new TypeError(`Expected text without half of a surrogate pair, not ${JSON.stringify(text)}`)
  }
}

/** The platform's own checks would come with each call, as a failure of the network. */
function expectSendable({ baseUrl, apiKey, fetch }: ConnectionOptions): void {
  let expected = 'baseUrl to be such as https://api.example.com'
  try {
    // A page may leave out its own origin; which addresses another fetch takes is its own matter.
    const base = globalThis.document?.baseURI ?? globalThis.location?.href
    if (!fetch && !/^https?:/i.test(new URL(baseUrl, base).href)) throw new TypeError(baseUrl)
    expected = 'apiKey to be one line of letters that a header can carry'
    new Headers({ authorization: `Bearer ${apiKey}` })
  } catch {
    throw new TypeError(`Expected ${expected}`)
  }
}

function failureOf(cause: unknown, signal: AbortSignal | undefined, late: boolean): unknown {
  throwIfAborted(signal)
  if (cause instanceof PromenadeError) return cause
  if (late) return new PromenadeError('TIMEOUT', 'The answer did not come in time', { retryable: true, cause })
  if (cause instanceof SyntaxError) {
    return new PromenadeError('UNEXPECTED_ANSWER', 'The answer is not JSON', { retryable: true, cause })
  }
  return new PromenadeError('NETWORK_ERROR', 'The connection failed', { retryable: true, cause })
}
