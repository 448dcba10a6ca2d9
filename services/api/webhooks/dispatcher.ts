import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Announcement, Delivery, EndedJob, WebhookQueue } from '#shared/db/webhooks.ts'
import type { Logger } from '#shared/logger.ts'
import { resultOf } from '../result.ts'
import { type Endpoint, eventTypeOf } from './endpoint.ts'
import { retrySeconds } from './schedule.ts'
import type { Send } from './sender.ts'

/** To one endpoint at once. */
const deliveriesAtOnce = 8
const drainMs = 2_000

/** Delivered where there is no fault. */
interface Outcome {
  fault?: string
  /** The receiver wants no more of it. */
  isGone?: boolean
  retryAfter?: string | undefined
}

/**
 * Tells the endpoints which jobs have ended, from the queue in the database, at least once each: the same `webhook-id` is the
 * same message. Each endpoint is worked off by itself, so that one which is slow or dead holds up no other.
 */
export function createWebhooks({
  queue,
  endpoints,
  send,
  logger,
  pollMs = endpoints.length ? 3_000 : 60_000,
}: {
  queue: WebhookQueue
  endpoints: readonly Endpoint[]
  send: Send
  logger: Pick<Logger, 'debug' | 'warn' | 'error'>
  /** Other processes end jobs too. */
  pollMs?: number
}) {
  /** Nothing more is claimed. */
  const stopping = new AbortController()
  /** What is under way is given back. */
  const aborting = new AbortController()
  const busy = new Map<Endpoint, Promise<void>>()
  let alarm = new AbortController()
  let running: Promise<void> | undefined
  /** Why the queue itself could not be worked off, the last time. */
  let fault: unknown

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      await look()
      await sleep(pollMs, undefined, { signal: alarm.signal }).catch(() => {})
      alarm = new AbortController()
    }
  }

  async function look(): Promise<void> {
    try {
      while (!stopping.signal.aborted && (await (endpoints.length ? queue.fanOut(announce) : queue.discard()))) {}
      for (const endpoint of endpoints) {
        if (!busy.has(endpoint))
          busy.set(
            endpoint,
            workOff(endpoint).finally(() => busy.delete(endpoint)),
          )
      }
      const deliveries = await queue.expire()
      if (deliveries) logger.error({ deliveries }, 'webhooks given up: no process has had their endpoint for days')
    } catch (error) {
      fault = error
      logger.warn({ err: error }, 'webhooks wait')
    }
  }

  function announce({ state, endedAt, found }: EndedJob): Announcement {
    const message = { type: eventTypeOf(state), timestamp: endedAt.toISOString(), data: resultOf(found) }
    const wanting = endpoints.filter(({ wants }) => wants(state))
    return { payload: JSON.stringify(message), endpoints: wanting.map(({ id }) => id) }
  }

  async function workOff(endpoint: Endpoint): Promise<void> {
    try {
      while (!stopping.signal.aborted) {
        const deliveries = await queue.claim(endpoint.id, deliveriesAtOnce)
        await Promise.all(deliveries.map((delivery) => deliver(endpoint, delivery)))
        if (deliveries.length < deliveriesAtOnce) return
      }
    } catch (error) {
      fault = error
      logger.warn({ err: error, endpoint: endpoint.name }, 'webhooks wait')
    }
  }

  async function deliver(endpoint: Endpoint, delivery: Delivery): Promise<void> {
    const messageId = messageIdOf(delivery)
    const about = { endpoint: endpoint.name, webhook_id: messageId, attempt: delivery.attempts + 1 }
    try {
      const { fault, isGone, retryAfter } = await attempt(endpoint, messageId, delivery.payload)
      if (fault === undefined) {
        await queue.settle(delivery)
        return logger.debug(about, 'webhook delivered')
      }
      if (aborting.signal.aborted) return await queue.giveBack(delivery)
      const seconds = isGone
        ? undefined
        : retrySeconds(about.attempt, { random: Math.random, retryAfter, now: Date.now() })
      if (seconds === undefined) {
        await queue.settle(delivery)
        return logger.error({ ...about, fault }, 'webhook given up')
      }
      await queue.retryLater(delivery, { seconds, error: fault })
      logger.warn({ ...about, fault, retry_in_seconds: Math.round(seconds) }, 'webhook failed')
    } catch (error) {
      logger.warn({ ...about, err: error }, 'webhook not recorded: it is tried again when its lease is over')
    }
  }

  async function attempt({ url, sign }: Endpoint, messageId: string, body: string): Promise<Outcome> {
    const at = new Date()
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'Promenade-Webhooks/1',
      'webhook-id': messageId,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': sign(messageId, at, body),
    }
    try {
      const { status, retryAfter } = await send({ url, headers, body, signal: aborting.signal })
      if (status >= 200 && status < 300) return {}
      return { fault: `status ${status}`, isGone: status === 410, retryAfter }
    } catch (error) {
      // Where several addresses were tried, the error that holds theirs has no message.
      const { message, code, name } = error as NodeJS.ErrnoException
      return { fault: message || code || name }
    }
  }

  function stop(): void {
    stopping.abort()
    alarm.abort()
  }

  return {
    start(): void {
      running ??= run()
    },

    /** Something has ended in this process: looks now. */
    wake(): void {
      alarm.abort()
    },

    /**
     * Delivers what is due now; past `until` what is under way is given back. For a function that runs on a schedule: throws
     * why the queue could not be worked off, which an endpoint that does not answer is not.
     */
    async runOnce({ until }: { until: AbortSignal }): Promise<void> {
      until.addEventListener('abort', () => {
        stop()
        aborting.abort()
      })
      await look()
      await Promise.all(busy.values())
      if (fault !== undefined) throw fault
    },

    /** Gives what is under way a moment, and back what is not done by then. */
    async close(): Promise<void> {
      stop()
      const timer = setTimeout(() => aborting.abort(), drainMs)
      await running
      await Promise.all(busy.values())
      clearTimeout(timer)
    },
  }
}

/** The same for every try and every endpoint, and of no meaning to anyone. */
function messageIdOf({ eventId, payload }: Delivery): string {
  return `msg_${createHash('sha256').update(`${eventId}.${payload}`).digest('hex').slice(0, 32)}`
}
