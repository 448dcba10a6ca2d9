import { createHash } from 'node:crypto'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import { musicKey } from '#shared/contract/key.ts'
import type { ImageUploaded } from '#shared/contract/queue-message.ts'
import type { Analysis } from '#shared/db/jobs.ts'
import type { Logger } from '#shared/logger.ts'
import type { ClassifierManifest, MusicManifest } from '#shared/model/manifest.ts'
import { encodeWav } from '../audio/wav.ts'
import type { Classification } from '../classifier/classifier.ts'
import { analysisOf } from './analysis.ts'
import type { KeptLease } from './lease.ts'
import type { PictureReader } from './picture-reader.ts'
import type { ProgressReporter } from './progress.ts'
import { composePrompt } from './prompt.ts'
import type { PromptWords } from './prompt-words.ts'
import { retryWrite } from './retry.ts'
import { seedOf } from './seed.ts'
import { startStopwatch } from './stopwatch.ts'

export interface Inference {
  classifierManifest: Pick<ClassifierManifest, 'name' | 'source' | 'classifier'>
  musicManifest: { name: string; source: MusicManifest['source']; music: Pick<MusicManifest['music'], 'sampleRate'> }
  /** Rejects while the models are not available. */
  ping(): Promise<void>
  /** @param views of the picture for each of the manifest's graphs, as `preprocess` makes them */
  classify(views: Float32Array[], options: { signal: AbortSignal }): Promise<Classification>
  /** One array of samples per channel. */
  compose(
    clip: { prompt: string; seed: number; seconds: number },
    options: { signal: AbortSignal; onProgress: (fraction: number) => void },
  ): Promise<Float32Array[]>
}

export interface MusicMakerOptions {
  objects: Pick<ObjectStore, 'get' | 'put'>
  pictures: Pick<PictureReader, 'read'>
  inference: Inference
  words: PromptWords
  /** Milliseconds. */
  now: () => number
  /** 0 to 1. */
  random: () => number
  region: string
  maxImageBytes: number
  musicSeconds: number
}

/** What is to be made: one take on one picture, its job's id, and the hold on that job. */
interface Order {
  id: string
  upload: ImageUploaded
  take: number
  lease: KeptLease
  progress: ProgressReporter
  logger: Logger
}

/** From a picture in the bucket to its music in the bucket. */
export function createMusicMaker({ objects, pictures, inference, words, ...options }: MusicMakerOptions) {
  const { now, random, region, maxImageBytes, musicSeconds } = options

  /**
   * Fetches, classifies, composes and stores; what is left to do is the record. Doing it twice stores the same bytes under
   * the same name. Throws `lease.signal.reason` when that is aborted.
   */
  async function makeMusic({ id, upload, take, lease, progress, logger }: Order): Promise<Analysis> {
    const { signal } = lease
    const { classifierManifest, musicManifest } = inference
    const { sampleRate } = musicManifest.music
    const stopwatch = startStopwatch({ eventTime: upload.eventTime, now })

    progress.report('fetching')
    const bytes = await objects.get(upload, { maxBytes: maxImageBytes, signal })
    const fetchMs = stopwatch.lap()

    progress.report('classifying')
    const { traits, views } = await pictures.read(bytes, signal)
    const classification = await inference.classify(views, { signal })
    const classifyMs = stopwatch.lap()

    progress.report('composing')
    const { genre, styles } = classification
    const prompt = composePrompt({ genre: genre.name, styles, traits }, words)
    const seed = seedOf(bytes, take)
    const channels = await inference.compose(
      { prompt, seed, seconds: musicSeconds },
      { signal, onProgress: (fraction) => progress.report('composing', fraction) },
    )
    const wav = encodeWav({ channels, sampleRate })
    const generateMs = stopwatch.lap()

    progress.report('storing')
    const key = musicKey(upload.key, id)
    await retryWrite(
      async () => {
        await lease.confirm()
        await objects.put({ key, body: wav, contentType: 'audio/wav', signal })
      },
      {
        signal,
        random,
        onError: (error) => logger.warn({ err: error }, 'the music could not be stored, trying again'),
      },
    )
    const storeMs = stopwatch.lap()

    return analysisOf({
      upload,
      take,
      region,
      musicKey: key,
      classification,
      prompt,
      seed,
      durationSeconds: channels[0]!.length / sampleRate,
      sampleRate,
      musicBytes: wav.length,
      musicSha256: createHash('sha256').update(wav).digest('hex'),
      models: { classifier: classifierManifest, music: musicManifest },
      timings: { queueMs: stopwatch.queueMs, fetchMs, classifyMs, generateMs, storeMs, totalMs: stopwatch.total() },
    })
  }

  return { makeMusic }
}
