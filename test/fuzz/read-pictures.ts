import { readFile } from 'node:fs/promises'
import { PermanentFailure } from '#shared/failure.ts'
import { createPictureReader } from '../../services/consumer/pipeline/picture-reader.ts'
import type { Reading } from '../../services/consumer/pipeline/read-picture.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference } from '../stub-inference.ts'
import { userMessageFault } from '../user-message.ts'
import type { Outcome } from './outcome.ts'

const maxPixels = 100_000_000

/**
 * Gives pictures to the decoder as the consumer does, one after the other: each must be read or refused for good, by a
 * process that outlives it and reads the next good picture.
 */
export async function withPictureReader<T>(
  use: (read: (bytes: Buffer) => Promise<Outcome>, peakMemory: () => Promise<number>) => Promise<T>,
): Promise<T> {
  const { graphs } = createStubInference().classifierManifest.classifier
  const pictures = createPictureReader({ maxPixels, graphs, env: {} })
  const signal = new AbortController().signal
  const good = await drawPicture(1, { width: 32, height: 32 }).jpeg().toBuffer()

  async function read(bytes: Buffer): Promise<Outcome> {
    const startedAt = performance.now()
    try {
      const reading = await pictures.read(bytes, signal)
      const fault = faultOf(reading)
      return { result: 'read', ...(fault && { fault }), milliseconds: performance.now() - startedAt }
    } catch (error) {
      const milliseconds = performance.now() - startedAt
      const { code, message } = error as PermanentFailure
      if (error instanceof PermanentFailure && code.startsWith('IMAGE_')) {
        const fault = userMessageFault(message)
        return { result: code, ...(fault && { fault: `${fault}: ${JSON.stringify(message)}` }), milliseconds }
      }
      return { result: code, fault: String(error), milliseconds }
    }
  }

  try {
    await pictures.read(good, signal)
    const used = await use(read, peakMemory)
    await pictures.read(good, signal)
    return used
  } finally {
    pictures.close()
  }
}

function faultOf({ traits, views }: Reading): string | undefined {
  const { dominantColors, ...numbers } = traits
  const all = [...Object.values(numbers), ...dominantColors.flatMap(({ lab, share }) => [...lab, share])]
  if (!all.every(Number.isFinite)) return `the traits are not all numbers: ${JSON.stringify(traits)}`
  if (!views.every((view) => view.every(Number.isFinite))) return 'a view of the picture is not all numbers'
  return undefined
}

/** Bytes that the largest of our child processes has had resident so far; 0 where there is no /proc. */
async function peakMemory(): Promise<number> {
  const children = await readFile(`/proc/self/task/${process.pid}/children`, 'utf8').catch(() => '')
  const peaks = children.split(' ').map(async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    return 1024 * Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0)
  })
  return Math.max(0, ...(await Promise.all(peaks)))
}
