import type { ObjectStore } from '#shared/aws/object-store.ts'
import { musicKey } from '#shared/contract/key.ts'
import type { Assignment } from '#shared/contract/queue-message.ts'
import type { Analysis } from '#shared/db/jobs.ts'
import type { Logger } from '#shared/logger.ts'
import type { MusicManifest } from '#shared/model/manifest.ts'
import { encodeWav } from '../audio/wav.ts'
import { analysisOf, musicOf } from './analysis.ts'
import type { KeptLease } from './lease.ts'
import { commentOf } from './music-comment.ts'
import type { ProgressReporter } from './progress.ts'
import { retryWrite } from './retry.ts'
import { type Classifier, createScoreWriter, type ScoreWriterOptions } from './score.ts'
import type { Stopwatch } from './stopwatch.ts'

export interface Inference extends Classifier {
  musicManifest: { name: string; source: MusicManifest['source']; music: Pick<MusicManifest['music'], 'sampleRate'> }
  /** Rejects while the models are not available. */
  ping(): Promise<void>
  /** One array of samples per channel. */
  compose(
    clip: { prompt: string; seed: number; seconds: number },
    options: { signal: AbortSignal; onProgress: (fraction: number) => void; onWarning: (message: string) => void },
  ): Promise<Float32Array[]>
}

export interface MusicMakerOptions extends ScoreWriterOptions {
  objects: Pick<ObjectStore, 'get' | 'put'>
  inference: Inference
  /** 0 to 1. */
  random: () => number
  region: string
  leaseSeconds: number
}

/** What is to be made, its job's id, and the hold on that job. */
interface Work {
  id: string
  assignment: Assignment
  take: number
  lease: KeptLease
  progress: ProgressReporter
  stopwatch: Stopwatch
  logger: Logger
  /** Hears of the trace that whoever uploaded the picture says it belongs to. */
  onTraceHeader: (header: string) => void
}

/** From a picture, or from what is known of it, to music in the bucket. */
export function createMusicMaker(options: MusicMakerOptions) {
  const { objects, inference, random, region, leaseSeconds } = options
  const { musicManifest } = inference
  const { sampleRate } = musicManifest.music
  const scores = createScoreWriter(options)

  /**
   * Composes and stores; what is left to do is the record, whose stage has begun then. The first WAV that is stored stays: a
   * second try may differ in the last bits, by what else was in its batch, or in all, by other models and settings. Throws
   * `lease.signal.reason` when that is aborted.
   */
  async function makeMusic(work: Work): Promise<Analysis> {
    const { id, assignment, take, lease, progress, stopwatch, logger } = work
    const { signal } = lease
    const { findings, prompt, seed, seconds } =
      'take' in assignment
        ? await scores.fromOrder(assignment)
        : await scores.fromPicture(assignment, { ...work, signal })

    stopwatch.begin('generate')
    progress.report('composing')
    const channels = await inference.compose(
      { prompt, seed, seconds },
      {
        signal,
        onProgress: (fraction) => progress.report('composing', fraction),
        onWarning: (message) => logger.warn({ seed }, message),
      },
    )
    const { name: model, source } = musicManifest
    const making = { prompt, seed, model, revision: source.revision }
    const body = encodeWav({ channels, sampleRate, comment: commentOf(making) })

    stopwatch.begin('store')
    progress.report('storing')
    const key = musicKey(assignment.key, id)
    // An earlier try may have stored its own and gone, even now while it is thought dead: the record is of what is there.
    const wav = await store(key, body, work)

    stopwatch.begin('record')
    return analysisOf({
      image: assignment,
      take,
      region,
      // Of the picture, by the classifier of this try, whatever the WAV that is there was made from.
      findings,
      musicKey: key,
      music: musicOf(wav, { ...making, seconds: channels[0]!.length / sampleRate, sampleRate }),
      queueMs: stopwatch.queueMs,
      fetchMs: stopwatch.milliseconds('fetch'),
      classifyMs: stopwatch.milliseconds('classify'),
      generateMs: stopwatch.milliseconds('generate'),
      storeMs: stopwatch.milliseconds('store'),
      totalMs: stopwatch.total(),
    })
  }

  /** Resolves to what is stored then. */
  async function store(key: string, wav: Buffer, { lease, logger }: Work): Promise<Buffer> {
    const { signal } = lease
    const put = async () => {
      await lease.confirm()
      return objects.put({ key, body: wav, contentType: 'audio/wav', signal })
    }
    const onError = (error: unknown) => logger.warn({ err: error }, 'the music could not be stored, trying again')
    return retryWrite(put, { signal, seconds: leaseSeconds, random, onError })
  }

  return { makeMusic }
}
