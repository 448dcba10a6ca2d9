export interface ServerSentEvent {
  type: string
  data: string
  /** Of this event or the last before it that had one. */
  id: string
  /** When to come back after the end, in milliseconds. */
  retryMs: number | undefined
}

/** Characters of one event; ours have a few thousand. */
const mostCharacters = 2 ** 20

/**
 * The events of a body, by the HTML standard, section 9.2; what is left of one at its end is dropped. The silence before
 * each piece is timed, and not what is done with the events in between.
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  silence: { start(): void; stop(): void },
): AsyncGenerator<ServerSentEvent, void> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let text = ''
  let id = ''
  let retryMs: number | undefined
  let event = { type: 'message', data: [] as string[] }
  try {
    for (;;) {
      silence.start()
      const { done, value } = await reader.read()
      silence.stop()
      if (done) return
      text += decoder.decode(value, { stream: true })
      if (text.length > mostCharacters) throw new Error(`Expected an event of at most ${mostCharacters} characters`)
      // A \r at the end may be half a line's end.
      const lines = text.split(/\r\n|\n|\r(?!$)/)
      text = lines.pop()!
      for (const line of lines) {
        if (line === '') {
          if (event.data.length) yield { type: event.type, data: event.data.join('\n'), id, retryMs }
          event = { type: 'message', data: [] }
          continue
        }
        const [, field, content = ''] = line.match(/^([^:]*):? ?(.*)$/s)!
        if (field === 'event') event.type = content
        else if (field === 'data') event.data.push(content)
        else if (field === 'id' && !content.includes('\0')) id = content
        else if (field === 'retry' && /^\d+$/.test(content)) retryMs = Number(content)
      }
    }
  } finally {
    silence.stop()
    await reader.cancel().catch(() => {})
  }
}
