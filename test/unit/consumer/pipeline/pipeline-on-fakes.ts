import type { TestContext } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import type { DeadLetterReason } from '#shared/aws/queue.ts'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { type ImageVersion, jobId } from '#shared/contract/key.ts'
import type { JobState } from '#shared/contract/result.ts'
import type { TakeOrdered } from '#shared/contract/take-order.ts'
import type { JobError } from '#shared/db/job-end.ts'
import type { Analysis, Claim, Jobs } from '#shared/db/jobs.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { imageLogger } from '#shared/logger.ts'
import type { Inference } from '../../../../services/consumer/pipeline/music-maker.ts'
import type { EndedTry } from '../../../../services/consumer/pipeline/observer.ts'
import { createPipeline } from '../../../../services/consumer/pipeline/process-image.ts'
import { readPicture } from '../../../../services/consumer/pipeline/read-picture.ts'
import { uploadOf } from '../../../job.ts'
import { drawPicture } from '../../../picture.ts'
import { createStubInference, promptWords } from '../../../stub-inference.ts'

/** Of the upload and the picture that the pipeline is built for, unless it is told otherwise. */
export const upload = uploadOf('uploads/a.jpg')
export const picture = await drawPicture(1, { width: 64, height: 48 }).jpeg().toBuffer()

type Step =
  | 'receive'
  | 'claim'
  | 'claimed'
  | 'ordered'
  | 'get'
  | 'classify'
  | 'compose'
  | 'confirm'
  | 'put'
  | 'succeed'
  | 'succeeded'
  | 'deadLetter'
  | 'fail'
  | 'release'

/** A pipeline on fakes that keep to the rules of the real ones: a write names its token, or changes nothing. */
export function build(
  options: {
    upload?: typeof upload
    order?: TakeOrdered
    ordered?: Awaited<ReturnType<Jobs['ordered']>>
    /** Nobody has begun its job. */
    unknown?: boolean
    picture?: Buffer
    metadata?: Record<string, string>
    during?: Partial<Record<Step, (steal: () => void, cancel: () => void) => unknown>>
    extend?: () => Promise<boolean>
    words?: typeof promptWords
    musicSeconds?: number
    receiveCount?: number
    failureId?: string | undefined
    heldFor?: number
    isOwnFault?: () => boolean
    signal?: AbortSignal
    now?: () => number
  } = {},
) {
  const writes: string[] = []
  const outages: ErrorCode[] = []
  const ended: EndedTry[] = []
  const lines: string[] = []
  const stored = new Map<string, Buffer>()
  const deadLetters: DeadLetterReason[] = []
  const job = {
    state: 'queued' as JobState,
    token: '',
    attempt: 0,
    error: undefined as JobError | undefined,
    analysis: undefined as Analysis | undefined,
  }
  const steal = () => {
    job.token = 'another'
  }
  const cancel = () => {
    job.state = 'canceled'
  }
  const reopen = (failureId: string) => {
    if (failureId === job.token && job.state === 'failed') job.state = 'queued'
  }
  const at = async (step: Step) => options.during?.[step]?.(steal, cancel)
  const holds = (token: string) => job.state === 'processing' && job.token === token
  const change = (name: string, token: string, apply: () => void) => {
    if (!holds(token)) return false
    writes.push(name)
    apply()
    return true
  }
  const stub = createStubInference()
  const inference: Inference = {
    ...stub,
    classify: async (pixels, { signal }) => {
      await at('classify')
      signal.throwIfAborted()
      return stub.classify(pixels, { signal })
    },
    compose: async (clip, hearing) => {
      await at('compose')
      hearing.signal.throwIfAborted()
      hearing.onWarning('the prompt was cut')
      return stub.compose(clip, hearing)
    },
  }
  const pipeline = createPipeline({
    jobs: {
      receive: async (_upload, failureId) => {
        await at('receive')
        if (failureId) reopen(failureId)
        return jobId(options.upload ?? upload)
      },
      reopen: async (_id, failureId) => reopen(failureId),
      ordered: async () => {
        await at('ordered')
        return options.ordered
      },
      look: async () => ({ state: job.state, token: job.token }),
      claim: async (_id, { token }): Promise<Claim> => {
        await at('claim')
        if (options.unknown) return { outcome: 'unknown' }
        if (job.state === 'processing') return { outcome: 'held', leaseSeconds: options.heldFor ?? 60 }
        if (job.state !== 'queued') return { outcome: 'settled', state: job.state }
        Object.assign(job, { state: 'processing', token, attempt: job.attempt + 1 })
        await at('claimed')
        return { outcome: 'claimed', attempt: job.attempt }
      },
      renew: async ({ token }) => {
        await at('confirm')
        return holds(token)
      },
      progress: async ({ token }) => holds(token),
      succeed: async ({ token, analysis }) => {
        await at('succeed')
        const isOurs = change('succeed', token, () => Object.assign(job, { state: 'succeeded', analysis }))
        await at('succeeded')
        return isOurs
      },
      fail: async ({ id: _, token, ...error }) => {
        await at('fail')
        return change('fail', token, () => Object.assign(job, { state: 'failed', error }))
      },
      release: async ({ token, error, countAttempt = true }) => {
        await at('release')
        return change('release', token, () =>
          Object.assign(job, { state: 'queued', error, attempt: job.attempt - (countAttempt ? 0 : 1) }),
        )
      },
    },
    objects: {
      get: async (_version, { signal }) => {
        await at('get')
        signal.throwIfAborted()
        return { bytes: options.picture ?? picture, metadata: options.metadata ?? {} }
      },
      put: async ({ key, body }) => {
        if (!stored.has(key)) stored.set(key, body)
        writes.push('put')
        await at('put')
        return stored.get(key)!
      },
    },
    pictures: {
      read: (bytes) =>
        readPicture(bytes, { maxPixels: 1_000_000, graphs: inference.classifierManifest.classifier.graphs }),
    },
    inference,
    words: options.words ?? promptWords,
    now: options.now ?? (() => 0),
    random: () => 1,
    region: 'us-east-1',
    leaseSeconds: 60,
    maxAttempts: 3,
    outages: { begin: (code) => outages.push(code), isOwnFault: async () => options.isOwnFault?.() ?? false },
    observer: { tryEnded: (each) => ended.push(each) },
    maxImageBytes: 1_000_000,
    musicSeconds: options.musicSeconds ?? 0.5,
  })
  return {
    writes,
    outages,
    ended,
    inference,
    log: () => lines.join(''),
    stored,
    deadLetters,
    job,
    process: () =>
      pipeline.processImage({
        assignment: options.order ?? options.upload ?? upload,
        delivery: {
          messageId: 'm',
          traceHeaders: ['of the message'],
          receiveCount: options.receiveCount ?? 1,
          failureId: options.failureId,
          extend: options.extend ?? (async () => true),
          deadLetter: async (reason) => {
            await at('deadLetter')
            deadLetters.push(reason)
            writes.push('deadLetter')
          },
        },
        logger: imageLogger(pino({}, { write: (line) => lines.push(line) }), { key: upload.key, messageId: 'm' }),
        signal: options.signal ?? new AbortController().signal,
      }),
  }
}

export function versionOf({ bucket, key, version }: ImageVersion): ImageVersion {
  return { bucket, key, version }
}

export function failWith(error: Error) {
  return () => {
    throw error
  }
}

/** A service is away for so many seconds from when it is first asked; until then time stands still. */
export function outageOf(t: TestContext, seconds: number, code: ErrorCode = 'DATABASE_UNAVAILABLE') {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let begun = false
  let passed = 0
  return {
    strike(): void {
      begun = true
      if (passed < seconds) throw new RetryableFailure(code, 'away')
    },
    passed: () => passed,
    async until<T>(pending: Promise<T>): Promise<T> {
      const finished = pending.then(() => true)
      while (!(await Promise.race([finished, setImmediate(false)]))) {
        if (!begun) continue
        t.mock.timers.tick(500)
        passed += 0.5
      }
      return pending
    },
  }
}
