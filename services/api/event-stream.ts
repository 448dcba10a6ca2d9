import { Readable } from 'node:stream'

interface StreamedEvent {
  event: string
  /** With which the client asks for what comes after. */
  id: string
  data: unknown
}

/** Bytes that may wait for a slow client, beside the newest event. */
const highWaterMark = 4 * 1024
const heartbeatMs = 15_000
/** The client then comes back by itself, to another server perhaps. */
const lifeMs = 15 * 60_000
/** Spread, so that the clients of a server that is closed do not all come back at once. */
const retryMs = { least: 1_000, spread: 2_000 }

/**
 * Server-sent events. A client that reads too slowly gets the newest event only, and one that has not read the end
 * within a heartbeat's time is cut off. `onEnd` is called once, when the stream has ended or the client
 * has gone.
 */
export function createEventStream({ onEnd }: { onEnd: () => void }) {
  let newest: string | undefined
  let isLast = false
  /** The client has room for more. */
  let hungry = true
  let cutOff: NodeJS.Timeout | undefined
  const stream = new Readable({
    highWaterMark,
    read() {
      hungry = true
      flush()
    },
    destroy(error, done) {
      clearInterval(heartbeat)
      clearTimeout(life)
      clearTimeout(cutOff)
      onEnd()
      done(error)
    },
  })
  const heartbeat = setInterval(() => {
    if (hungry && !isLast) hungry = stream.push(': still here\n\n')
  }, heartbeatMs)
  const life = setTimeout(end, lifeMs)
  stream.push(`retry: ${Math.round(retryMs.least + Math.random() * retryMs.spread)}\n\n`)

  function flush(): void {
    if (!hungry) return
    if (newest !== undefined) {
      const text = newest
      newest = undefined
      hungry = stream.push(text)
    }
    if (isLast) stream.push(null)
  }

  return {
    stream,

    /** Takes the place of an event that has not been sent yet. */
    send({ event, id, data }: StreamedEvent): void {
      if (isLast) return
      newest = `id: ${id}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`
      flush()
    },

    end,
  }

  /** Sends what is still to be sent, and nothing more. */
  function end(): void {
    if (isLast) return
    isLast = true
    // Who reads nothing would never come to the end.
    cutOff = setTimeout(() => stream.destroy(), heartbeatMs)
    flush()
  }
}
