import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FauxqsServer, SpyMessage } from 'fauxqs'
import { s3Notification } from '#shared/contract/s3-notification.ts'

/** Uploads waiting to be announced, at most: past it S3 refuses the upload, and the client tries again. */
const maxWaiting = 10_000

interface Upload {
  key: string
  sequencer: string
  eventTime: string
}

interface BridgeOptions {
  spy: FauxqsServer['spy']
  bucket: string
  region: string
  /** Only keys that begin with it are announced. */
  prefix: string
  head(key: string): Promise<{ etag: string; size: number } | undefined>
  send(body: string): void
  onError(error: unknown): void
}

/** S3's event notifications, which the emulator lacks: each upload becomes a message like those that S3 sends. */
export function createBridge({ spy, bucket, region, prefix, head, send, onError }: BridgeOptions) {
  const waiting: Upload[] = []
  const nextSequencer = createSequencer()
  let draining: Promise<void> = Promise.resolve()
  let closed = false
  /** Uploaded in this very turn of the event loop: the emulator tells of an upload by a form twice, at once. */
  let justSeen: string | undefined

  // The emulator asks each waiter about each event as it happens: one that is never satisfied misses none of them.
  spy.waitForMessage(see).catch(() => {
    // The emulator has stopped.
  })

  function see(event: SpyMessage): boolean {
    if (closed || event.service !== 's3' || event.status !== 'uploaded') return false
    if (event.bucket !== bucket || !event.key.startsWith(prefix)) return false
    if (event.key === justSeen) return false
    if (waiting.length === maxWaiting) throw new Error(`${maxWaiting} uploads are waiting to be announced`)
    justSeen = event.key
    queueMicrotask(() => {
      justSeen = undefined
    })
    waiting.push({
      key: event.key,
      sequencer: nextSequencer(event.timestamp),
      eventTime: new Date(event.timestamp).toISOString(),
    })
    if (waiting.length === 1) draining = drain()
    return false
  }

  async function drain(): Promise<void> {
    for (let upload = waiting[0]; upload; upload = waiting[0]) {
      try {
        const object = await head(upload.key)
        const requestId = randomBytes(8).toString('hex').toUpperCase()
        const principal = 'promenade-local'
        if (object) send(s3Notification({ ...upload, ...object, bucket, region, principal, requestId }))
      } catch (error) {
        onError(error)
      }
      waiting.shift()
    }
  }

  return {
    /** Announces what has been uploaded and nothing after it. Throws when that takes more than 5 s. */
    async close(): Promise<void> {
      closed = true
      const inTime = await Promise.race([draining.then(() => true), sleep(5_000, false, { ref: false })])
      if (!inTime) throw new Error(`${waiting.length} uploads were not announced`)
    },
  }
}

/** Hexadecimal, of one width, larger at each call and after a restart. `now` in milliseconds. */
export function createSequencer(): (now: number) => string {
  let last = 0n
  return (now) => {
    const start = BigInt(now) << 16n
    last = start > last ? start : last + 1n
    return last.toString(16).toUpperCase().padStart(18, '0')
  }
}
