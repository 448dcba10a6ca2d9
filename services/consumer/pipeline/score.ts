import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { ImageUploaded } from '#shared/contract/queue-message.ts'
import type { TakeOrdered } from '#shared/contract/take-order.ts'
import type { Findings, Jobs } from '#shared/db/jobs.ts'
import { RetryableFailure } from '#shared/failure.ts'
import type { ClassifierManifest } from '#shared/model/manifest.ts'
import type { Classification } from '../classifier/classifier.ts'
import { findingsOf } from './analysis.ts'
import type { PictureReader } from './picture-reader.ts'
import type { ProgressReporter } from './progress.ts'
import { composePrompt } from './prompt.ts'
import type { PromptWords } from './prompt-words.ts'
import { seedOf } from './seed.ts'
import type { Stopwatch } from './stopwatch.ts'

/** What is to be played, and what was found in the picture. */
interface Score {
  findings: Findings
  prompt: string
  seed: number
  seconds: number
}

export interface Classifier {
  classifierManifest: Pick<ClassifierManifest, 'name' | 'source' | 'classifier'>
  /** @param views of the picture for each of the manifest's graphs, as `preprocess` makes them */
  classify(views: Float32Array[], options: { signal: AbortSignal }): Promise<Classification>
}

export interface ScoreWriterOptions {
  jobs: Pick<Jobs, 'ordered'>
  objects: Pick<ObjectStore, 'get'>
  pictures: Pick<PictureReader, 'read'>
  inference: Classifier
  words: PromptWords
  maxImageBytes: number
  musicSeconds: number
}

/** Where the score of a picture's first take comes from, and where that of a later one. */
export function createScoreWriter({ jobs, objects, pictures, inference, words, ...options }: ScoreWriterOptions) {
  const { maxImageBytes, musicSeconds } = options

  return {
    /** Fetches the picture and classifies it. */
    async fromPicture(
      upload: ImageUploaded,
      {
        signal,
        progress,
        stopwatch,
        onTraceHeader,
      }: {
        signal: AbortSignal
        progress: ProgressReporter
        stopwatch: Stopwatch
        /** Hears of the trace that whoever uploaded the picture says it belongs to. */
        onTraceHeader: (header: string) => void
      },
    ): Promise<Score> {
      stopwatch.begin('fetch')
      progress.report('fetching')
      const { bytes, metadata } = await objects.get(upload, { maxBytes: maxImageBytes, signal })
      if (metadata.traceparent) onTraceHeader(metadata.traceparent)

      stopwatch.begin('classify')
      progress.report('classifying')
      const { traits, views } = await pictures.read(bytes, signal)
      const classification = await inference.classify(views, { signal })
      const { genre, styles } = classification
      return {
        findings: findingsOf(classification, inference.classifierManifest),
        prompt: composePrompt({ genre: genre.name, styles, traits }, words),
        seed: seedOf(bytes),
        seconds: musicSeconds,
      }
    },

    /** As it was ordered, on what the first take found; the picture itself may be gone. */
    async fromOrder(order: TakeOrdered): Promise<Score> {
      const score = await jobs.ordered(order)
      if (!score) {
        throw new RetryableFailure(
          'GENERATION_FAILED',
          'The first take on the picture has no row to take its styles from',
        )
      }
      return score
    },
  }
}
