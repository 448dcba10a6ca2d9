// The picture process: reads one picture after the other for the consumer, and ends with it.
import sharp from 'sharp'
import { PermanentFailure } from '#shared/failure.ts'
import type { Answer } from './picture-reader.ts'
import { type ReadingOptions, readPicture } from './read-picture.ts'

// A terminal's Ctrl-C and a container's SIGTERM reach this process too, but the consumer decides when it ends.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
// An exit in order would wait for the decoder.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

// Every picture is another; libvips would remember the last ones for nothing.
sharp.cache(false)

const options: ReadingOptions = JSON.parse(process.argv[2]!)

process.on('message', async (bytes: Uint8Array) => {
  send(await answerTo(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)))
})
send({ type: 'ready' })

async function answerTo(bytes: Buffer): Promise<Answer> {
  try {
    return { type: 'reading', reading: await readPicture(bytes, options) }
  } catch (error) {
    const { message } = error as Error
    if (error instanceof PermanentFailure) return { type: 'refusal', code: error.code, message }
    return { type: 'failure', message }
  }
}

/** To nobody, where the consumer has just gone: `disconnect` follows. */
function send(answer: Answer): void {
  if (process.connected) process.send!(answer, undefined, undefined, () => {})
}
