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
import type { Stopwatch } from './stopwatch.ts'

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
    options: { signal: AbortSignal; onProgress: (fraction: number) => void; onWarning: (message: string) => void },
  ): Promise<Float32Array[]>
}

export interface MusicMakerOptions {
  objects: Pick<ObjectStore, 'get' | 'put'>
  pictures: Pick<PictureReader, 'read'>
  inference: Inference
  words: PromptWords
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
  stopwatch: Stopwatch
  logger: Logger
  /** Hears of the trace that whoever uploaded the picture says it belongs to. */
  onTraceHeader: (header: string) => void
}

/** From a picture in the bucket to its music in the bucket. */
export function createMusicMaker({ objects, pictures, inference, words, ...options }: MusicMakerOptions) {
  const { random, region, maxImageBytes, musicSeconds } = options

  /**
   * Fetches, classifies, composes and stores; what is left to do is the record, whose stage has begun then. The first WAV
   * that is stored stays: a second try may differ in the last bits, by what else was in its batch. Throws
   * `lease.signal.reason` when that is aborted.
   */
  async function makeMusic(order: Order): Promise<Analysis> {
    const { id, upload, take, lease, progress, stopwatch, logger } = order
    const { signal } = lease
    const { classifierManifest, musicManifest } = inference
    const { sampleRate } = musicManifest.music

    stopwatch.begin('fetch')
    progress.report('fetching')
    const { bytes, metadata } = await objects.get(upload, { maxBytes: maxImageBytes, signal })
    if (metadata.traceparent) order.onTraceHeader(metadata.traceparent)

    stopwatch.begin('classify')
    progress.report('classifying')
    const { traits, views } = await pictures.read(bytes, signal)
    const classification = await inference.classify(views, { signal })

    stopwatch.begin('generate')
    progress.report('composing')
    const { genre, styles } = classification
    const prompt = composePrompt({ genre: genre.name, styles, traits }, words)
    const seed = seedOf(bytes, take)
    const channels = await inference.compose(
      { prompt, seed, seconds: musicSeconds },
      {
        signal,
        onProgress: (fraction) => progress.report('composing', fraction),
        onWarning: (message) => logger.warn({ seed }, message),
      },
    )
    const made = encodeWav({ channels, sampleRate })

    stopwatch.begin('store')
    progress.report('storing')
    const key = musicKey(upload.key, id)
    // An earlier try may have stored its own and gone, even now while it is thought dead: the record is of what is there.
    const wav = await store(key, made, order)

    stopwatch.begin('record')
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
      timings: {
        queueMs: stopwatch.queueMs,
        fetchMs: stopwatch.milliseconds('fetch'),
        classifyMs: stopwatch.milliseconds('classify'),
        generateMs: stopwatch.milliseconds('generate'),
        storeMs: stopwatch.milliseconds('store'),
        totalMs: stopwatch.total(),
      },
    })
  }

  /** Resolves to what is stored then. */
  async function store(key: string, wav: Buffer, { lease, logger }: Order): Promise<Buffer> {
    const { signal } = lease
    const put = async () => {
      await lease.confirm()
      return objects.put({ key, body: wav, contentType: 'audio/wav', signal })
    }
    const onError = (error: unknown) => logger.warn({ err: error }, 'the music could not be stored, trying again')
    return retryWrite(put, { signal, random, onError })
  }

  return { makeMusic }
}
