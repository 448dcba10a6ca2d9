import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'

export interface Received {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}

export type Step = (response: ServerResponse, request: Received) => void | Promise<void>

/** A server on loopback that answers each request by the next step, and the last of them ever after. */
export async function startScriptedApi(t: TestContext, steps: Step[]) {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    const { method = '', url = '', headers } = request
    const step = steps[Math.min(received.length, steps.length - 1)]!
    const whole = { method, url, headers, body: '' }
    received.push(whole)
    whole.body = await text(request).catch(() => '')
    await step(response, whole)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { received, baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

export function answer(status: number, body?: unknown, headers: Record<string, string> = {}): Step {
  return (response) => {
    const type = status < 400 ? 'application/json' : 'application/problem+json'
    response.writeHead(status, { 'content-type': type, ...headers })
    response.end(body === undefined ? undefined : JSON.stringify(body))
  }
}

/** The connection is lost before anything is answered. */
export const lost: Step = (response) => void response.destroy()

/** A clock on which sleeping takes no time; `slept` has the milliseconds of each. */
export function createQuickClock() {
  const slept: number[] = []
  let time = 0
  return {
    slept,
    now: () => time,
    random: () => 0.5,
    async sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
      signal?.throwIfAborted()
      // Whatever goes wrong, a test can still end.
      await new Promise(setImmediate)
      slept.push(milliseconds)
      time += milliseconds
    },
  }
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}
