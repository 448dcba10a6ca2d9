import { randomUUID } from 'node:crypto'
import type { ObjectStore } from '#shared/aws/object-store.ts'
import type { DeadLetterReason } from '#shared/aws/queue.ts'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { musicKey } from '#shared/contract/key.ts'
import type { ImageUploaded } from '#shared/contract/queue-message.ts'
import type { Analysis, Jobs } from '#shared/db/jobs.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import type { Logger } from '#shared/logger.ts'
import type { ClassifierManifest, MusicManifest } from '#shared/model/manifest.ts'
import { encodeWav } from '../audio/wav.ts'
import { preprocess } from '../classifier/preprocess.ts'
import { analysisOf, type Classification } from './analysis.ts'
import { backoffSeconds, failureBackoff, outageBackoff } from './backoff.ts'
import { decodePicture } from './decode-picture.ts'
import { keepLease, type Lease } from './lease.ts'
import { measurePicture } from './picture-traits.ts'
import { createProgressReporter, type ProgressReporter } from './progress.ts'
import { composePrompt } from './prompt.ts'
import type { PromptWords } from './prompt-words.ts'
import { seedOf } from './seed.ts'

export interface Inference {
  classifierManifest: Pick<ClassifierManifest, 'name' | 'source' | 'classifier'>
  musicManifest: { name: string; source: MusicManifest['source']; music: Pick<MusicManifest['music'], 'sampleRate'> }
  /** @param views of the picture for each of the manifest's graphs, as `preprocess` makes them */
  classify(views: Float32Array[], options: { signal: AbortSignal }): Promise<Classification>
  /** One array of samples per channel. */
  compose(
    clip: { prompt: string; seed: number; seconds: number },
    options: { signal: AbortSignal; onProgress: (fraction: number) => void },
  ): Promise<Float32Array[]>
}

/** The message that brought the picture. */
export interface Delivery {
  /** How often the message has been received, this time included. */
  receiveCount: number
  /** Hides the message from others for so long from now; false when it is no longer ours. */
  extend(seconds: number): Promise<boolean>
  deadLetter(reason: DeadLetterReason): Promise<void>
}

/**
 * `settled`: finished for good, well or badly. `left`: another has it, who will settle it. Otherwise it is to be tried
 * again after so many seconds.
 */
export type Outcome = 'settled' | 'left' | { retryAfterSeconds: number }

export interface PipelineOptions {
  region: string
  leaseSeconds: number
  maxAttempts: number
  maxImageBytes: number
  maxImagePixels: number
  musicSeconds: number
}

export type Pipeline = ReturnType<typeof createPipeline>

interface Work {
  upload: ImageUploaded
  delivery: Delivery
  logger: Logger
  /** Aborted when the consumer must stop. */
  signal: AbortSignal
}

/** Work that has been claimed. */
interface ClaimedWork extends Work {
  id: string
  token: string
  attempt: number
  lease: Lease
  progress: ProgressReporter
}

/** The service is at fault and not the picture; such a try is not counted against it. */
const outages: ReadonlySet<ErrorCode> = new Set(['DATABASE_UNAVAILABLE', 'STORAGE_UNAVAILABLE', 'MODEL_UNAVAILABLE'])

/** The picture's first; other takes have their own numbers. */
const take = 0

/**
 * What happens to one picture, from claim to record. The order of writes is WAV, row, acknowledgement on the way to
 * success and dead letter, row, acknowledgement on the way to failure, and each can be done twice with the effect of once:
 * cut off anywhere, the next try completes it. `now` in milliseconds; `random` from 0 to 1.
 */
export function createPipeline({
  jobs,
  objects,
  inference,
  words,
  now,
  random,
  ...options
}: {
  jobs: Pick<Jobs, 'receive' | 'claim' | 'renew' | 'progress' | 'succeed' | 'fail' | 'release'>
  objects: Pick<ObjectStore, 'get' | 'put'>
  inference: Inference
  words: PromptWords
  now: () => number
  random: () => number
} & PipelineOptions) {
  const { leaseSeconds, maxAttempts, maxImageBytes, maxImagePixels, musicSeconds, region } = options

  /** Never throws. */
  async function processImage(work: Work): Promise<Outcome> {
    const token = randomUUID()
    try {
      const id = await jobs.receive(work.upload, take)
      const claim = await jobs.claim(id, { token, leaseSeconds })
      if (claim.outcome === 'settled') {
        work.logger.info({ state: claim.state }, 'already settled')
        return 'settled'
      }
      if (claim.outcome === 'held') {
        work.logger.info('held by another consumer')
        return 'left'
      }
      return await processClaimed({ ...work, id, token, attempt: claim.attempt })
    } catch (error) {
      work.logger.error({ err: error }, 'the picture could not be claimed or given back')
      return { retryAfterSeconds: backoffSeconds(work.delivery.receiveCount, outageBackoff, random) }
    }
  }

  async function processClaimed(claimed: Omit<ClaimedWork, 'lease' | 'progress'>): Promise<Outcome> {
    const { id, token, attempt, delivery, logger, signal } = claimed
    const lease = keepLease({
      renew: async () => (await jobs.renew({ id, token, leaseSeconds })) && (await delivery.extend(leaseSeconds)),
      leaseSeconds,
      parent: signal,
      onError: (error) => logger.warn({ err: error }, 'the lease could not be renewed, trying again'),
    })
    const progress = createProgressReporter({
      write: async (latest) => {
        if (!(await jobs.progress({ id, token, ...latest }))) lease.lose('someone else has it')
      },
      onError: (error) => logger.warn({ err: error }, 'progress could not be written'),
      now,
    })
    const work = { ...claimed, lease, progress }
    try {
      const analysis = await makeMusic(work)
      if (lease.isLost() || !(await jobs.succeed({ id, token, analysis }))) return leave(work)
      const { genre, style1, prompt, totalMs } = analysis
      logger.info({ attempt, genre, style1, prompt, total_ms: totalMs }, 'succeeded')
      return 'settled'
    } catch (error) {
      return await giveUp(work, error)
    } finally {
      await Promise.all([lease.end(), progress.end()])
    }
  }

  /** Fetches, classifies, composes and stores; what is left to do is the record. */
  async function makeMusic({ id, upload, lease, progress }: ClaimedWork): Promise<Analysis> {
    const { signal } = lease
    const { classifierManifest, musicManifest } = inference
    const { sampleRate } = musicManifest.music
    const stopwatch = startStopwatch(now)
    const queueMs = sinceUpload(upload, now())

    progress.report('fetching')
    const bytes = await objects.get(upload, { maxBytes: maxImageBytes, signal })
    const fetchMs = stopwatch.lap()

    progress.report('classifying')
    const picture = await decodePicture(bytes, { maxPixels: maxImagePixels })
    signal.throwIfAborted()
    const { graphs } = classifierManifest.classifier
    const view = ({ image }: (typeof graphs)[number]) => preprocess(bytes, image, { limitInputPixels: maxImagePixels })
    const [traits, ...views] = await Promise.all([measurePicture(picture), ...graphs.map(view)])
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
    await lease.confirm()
    await objects.put({ key, body: wav, contentType: 'audio/wav', signal })
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
      models: { classifier: classifierManifest, music: musicManifest },
      timings: { queueMs, fetchMs, classifyMs, generateMs, storeMs, totalMs: queueMs + stopwatch.total() },
    })
  }

  /** Settles what can never succeed or has failed too often; gives back the rest. Throws when that cannot be written. */
  async function giveUp(work: ClaimedWork, error: unknown): Promise<Outcome> {
    const { id, token, attempt, upload, delivery, logger, signal, lease } = work
    await lease.end()
    if (lease.isLost()) return leave(work)
    const permanent = error instanceof PermanentFailure
    if (signal.aborted && !permanent) {
      logger.info('given back to the queue: the consumer stops')
      return (await jobs.release({ id, token, countAttempt: false })) ? { retryAfterSeconds: 0 } : leave(work)
    }
    const code = permanent || error instanceof RetryableFailure ? error.code : 'GENERATION_FAILED'
    const message = error instanceof Error ? error.message : String(error)
    const isOutage = outages.has(code)
    if (permanent || (attempt >= maxAttempts && !isOutage)) {
      if (!(await jobs.renew({ id, token, leaseSeconds }))) return leave(work)
      await delivery.deadLetter({ reasonCode: code, reason: message, attempts: attempt, imageKey: upload.key })
      if (!(await jobs.fail({ id, token, code, message, retryable: !permanent }))) return leave(work)
      logger.warn({ err: error, code, attempt }, 'failed for good, dead-lettered')
      return 'settled'
    }
    const failure = { code, message, retryable: true }
    if (!(await jobs.release({ id, token, error: failure, countAttempt: !isOutage }))) return leave(work)
    const retryAfterSeconds = isOutage
      ? backoffSeconds(delivery.receiveCount, outageBackoff, random)
      : backoffSeconds(attempt, failureBackoff, random)
    logger.warn({ err: error, code, attempt, retry_after_seconds: retryAfterSeconds }, 'given back to the queue')
    return { retryAfterSeconds }
  }

  return { processImage }
}

function leave({ logger, lease }: ClaimedWork): Outcome {
  logger.warn({ reason: String(lease.signal.reason ?? 'someone else has it') }, 'the lease is lost, nothing is written')
  return 'left'
}

/** Whole milliseconds from the upload, by S3's clock, to `now`, by ours; 0 when the clocks disagree. */
function sinceUpload({ eventTime }: ImageUploaded, now: number): number {
  const uploadedAt = Date.parse(eventTime)
  return Number.isNaN(uploadedAt) ? 0 : Math.max(0, Math.round(now - uploadedAt))
}

/** Whole milliseconds. */
function startStopwatch(now: () => number) {
  const startedAt = now()
  let lapStartedAt = startedAt
  return {
    /** Since the last lap, or the start. */
    lap(): number {
      const elapsed = now() - lapStartedAt
      lapStartedAt += elapsed
      return Math.round(elapsed)
    },
    total: () => Math.round(now() - startedAt),
  }
}
