import type { Classification } from '../classifier/classifier.ts'
import type { BatchOptions } from '../musicgen/batcher.ts'
import type { Clip, Pcm } from '../musicgen/composer.ts'

/** What the inference process is told on its command line, as JSON. */
export interface InferenceOptions extends BatchOptions {
  modelDir: string
  musicModel: string
  classifierModel: string
  /** In order of preference; the first that can load the models has them all. */
  executionProviders: readonly string[]
}

/** One run of the music model over all clips of a batch. */
export interface Generation {
  clips: number
  /** Of music, in all clips together. */
  musicSeconds: number
  /** That it took. */
  seconds: number
}

/** From the consumer to the inference process. */
export type Request =
  | { type: 'classify'; id: number; views: Float32Array[] }
  | { type: 'compose'; id: number; clip: Clip }
  | { type: 'cancel'; id: number }

/** From the inference process to the consumer: one `answer` or `failure`, the last, per request that was not canceled. */
export type Response =
  /** A provider of those asked for cannot load the models, and the next is tried. */
  | { type: 'fallback'; from: string; to: string; reason: string }
  | { type: 'ready'; executionProvider: string }
  | { type: 'progress'; id: number; fraction: number }
  /** The answer will be less than was asked for. */
  | { type: 'warning'; id: number; message: string }
  | { type: 'answer'; id: number; value: Classification | Pcm }
  | { type: 'generated'; generation: Generation }
  | { type: 'failure'; id: number; message: string }
  | { type: 'fatal'; message: string }
