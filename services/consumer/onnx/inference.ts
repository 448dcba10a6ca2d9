import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { RetryableFailure } from '#shared/failure.ts'
import { ClassifierManifest, MusicManifest } from '#shared/model/manifest.ts'
import type { Classification } from '../classifier/classifier.ts'
import type { Clip, Pcm } from '../musicgen/composer.ts'
import type { Generation, InferenceOptions, Request, Response } from './channel.ts'
import { readModel } from './model-folder.ts'
import { onnxProcessEnv } from './process-env.ts'

interface Logger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

type Answer = (Response & { type: 'answer' })['value']

interface Pending {
  resolve(value: Answer): void
  reject(reason: unknown): void
  onProgress(fraction: number): void
  onWarning(message: string): void
}

interface InferenceObserver {
  generated(generation: Generation): void
  /** A process has been lost, and another is being started. */
  restarted(): void
}

export type Inference = Awaited<ReturnType<typeof startInference>>

/** How long loading the models may take. */
const loadSeconds = 600
const maxRestartDelaySeconds = 30

const entry = fileURLToPath(new URL('./inference-process.ts', import.meta.url))

/**
 * Starts the inference process and keeps one alive: a process that dies, or owes an answer and says nothing for
 * `maxGenerationSeconds`, is replaced, and what it owed fails as retryable. Resolves when the models are loaded; rejects
 * when they cannot be, or with `signal.reason` when aborted before.
 */
export async function startInference(
  options: InferenceOptions & {
    logger: Logger
    observer?: InferenceObserver
    env: NodeJS.ProcessEnv
    signal: AbortSignal
  },
) {
  const { logger, observer, env, signal: stop, ...inferenceOptions } = options
  const { modelDir, musicModel, classifierModel } = inferenceOptions
  const musicManifest = await readModel(modelDir, musicModel, MusicManifest)
  const classifierManifest = await readModel(modelDir, classifierModel, ClassifierManifest)

  const pending = new Map<number, Pending>()
  let child: ChildProcess
  let ready: Promise<void>
  let loaded = false
  let isReady = false
  let closed = false
  /** In use, once there has been a process: what replaces it runs on no other. */
  let executionProvider: string | undefined
  let lastId = 0
  let failedStarts = 0
  let restart: NodeJS.Timeout | undefined
  let watchdog: NodeJS.Timeout | undefined

  stop.throwIfAborted()
  start()
  const stopped = Promise.withResolvers<never>()
  const onStop = () => stopped.reject(stop.reason)
  stop.addEventListener('abort', onStop, { once: true })
  try {
    await Promise.race([ready!, stopped.promise])
  } catch (error) {
    await close()
    throw error
  } finally {
    stop.removeEventListener('abort', onStop)
  }
  loaded = true

  function start(): void {
    const wanted = executionProvider ? { executionProviders: [executionProvider] } : {}
    const started = fork(entry, [JSON.stringify({ ...inferenceOptions, ...wanted })], {
      serialization: 'advanced',
      env: { ...onnxProcessEnv, ...env },
    })
    child = started
    let fatal: string | undefined
    ready = new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        fatal = `the models were not loaded within ${loadSeconds} s`
        started.kill('SIGKILL')
      }, loadSeconds * 1000)
      started.on('message', (response: Response) => {
        if (response.type === 'ready') {
          clearTimeout(timer)
          failedStarts = 0
          isReady = true
          executionProvider = response.executionProvider
          logger.info({ pid: started.pid, executionProvider }, 'inference process ready')
          resolve()
        } else if (response.type === 'fallback') {
          const { from, to, reason } = response
          logger.warn({ from, to, reason }, 'the models cannot be loaded on a provider, trying the next')
        } else if (response.type === 'fatal') {
          fatal = response.message
        } else if (response.type === 'generated') {
          observer?.generated(response.generation)
        } else {
          settle(response)
        }
      })
      started.on('error', (error) => {
        fatal = error.message
      })
      started.on('close', (status, signal) => {
        clearTimeout(timer)
        const reason = fatal ?? `the inference process ended (${signal ?? `exit status ${status}`})`
        reject(new RetryableFailure('MODEL_UNAVAILABLE', reason))
        replace(reason)
      })
    })
    ready.catch(() => {})
  }

  function replace(reason: string): void {
    clearTimeout(watchdog)
    isReady = false
    for (const { reject } of pending.values()) reject(new RetryableFailure('GENERATION_FAILED', reason))
    pending.clear()
    if (closed || !loaded) return
    ready = Promise.reject(new RetryableFailure('MODEL_UNAVAILABLE', `${reason}; another is being started`))
    ready.catch(() => {})
    const delaySeconds = Math.min(2 ** failedStarts++, maxRestartDelaySeconds)
    logger.error({ reason, delaySeconds }, 'inference process lost, starting another')
    observer?.restarted()
    restart = setTimeout(start, delaySeconds * 1000)
  }

  function settle(response: Response & { id: number }): void {
    const waiting = pending.get(response.id)
    if (waiting && response.type === 'progress') waiting.onProgress(response.fraction)
    else if (waiting && response.type === 'warning') waiting.onWarning(response.message)
    else if (waiting && response.type === 'answer') waiting.resolve(response.value)
    else if (waiting && response.type === 'failure') {
      waiting.reject(new RetryableFailure('GENERATION_FAILED', response.message))
    }
    if (response.type === 'answer' || response.type === 'failure') pending.delete(response.id)
    watch()
  }

  /** Starts the count of silence anew. */
  function watch(): void {
    clearTimeout(watchdog)
    if (pending.size === 0) return
    const seconds = inferenceOptions.maxGenerationSeconds
    watchdog = setTimeout(() => {
      logger.error({ pid: child.pid, silence_seconds: seconds }, 'inference process silent, killing it')
      child.kill('SIGKILL')
    }, seconds * 1000)
  }

  /** Rejects with `signal.reason` at once when aborted; the process then drops the work at its next chunk. */
  async function ask(
    request: (id: number) => Request,
    { signal, ...hearing }: { signal: AbortSignal } & Pick<Pending, 'onProgress' | 'onWarning'>,
  ): Promise<Answer> {
    signal.throwIfAborted()
    if (closed) throw new RetryableFailure('MODEL_UNAVAILABLE', 'inference is closed')
    const id = ++lastId
    const aborted = Promise.withResolvers<never>()
    const abort = () => aborted.reject(signal.reason)
    signal.addEventListener('abort', abort, { once: true })
    try {
      await Promise.race([ready, aborted.promise])
      const answered = new Promise<Answer>((resolve, reject) => pending.set(id, { resolve, reject, ...hearing }))
      child.send(request(id))
      if (pending.size === 1) watch()
      return await Promise.race([answered, aborted.promise])
    } finally {
      signal.removeEventListener('abort', abort)
      if (pending.delete(id)) {
        if (child.connected) child.send({ type: 'cancel', id } satisfies Request)
        if (pending.size === 0) clearTimeout(watchdog)
      }
    }
  }

  /** Ends the process; what it still owes fails as retryable. */
  async function close(): Promise<void> {
    closed = true
    clearTimeout(restart)
    if (child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await ended
  }

  return {
    musicManifest,
    classifierManifest,
    /** In use, of those that were asked for. */
    executionProviders: () => [executionProvider!],
    /** Rejects while a process is being started. */
    async ping(): Promise<void> {
      if (!isReady) throw new RetryableFailure('MODEL_UNAVAILABLE', 'the models are being loaded')
    },
    /** @param views of the picture, one for each of the manifest's graphs, [3, crop, crop] normalised as it says */
    classify: (views: Float32Array[], { signal }: { signal: AbortSignal }) =>
      ask((id) => ({ type: 'classify', id, views }), {
        signal,
        onProgress() {},
        onWarning() {},
      }) as Promise<Classification>,
    /** One track of samples per channel. `onProgress` hears how much of the clip is sampled, 0 to 1. */
    compose: (
      clip: Clip,
      {
        signal,
        onProgress,
        onWarning = (message) => logger.warn({ seed: clip.seed }, message),
      }: { signal: AbortSignal; onProgress: (fraction: number) => void; onWarning?: (message: string) => void },
    ) => ask((id) => ({ type: 'compose', id, clip }), { signal, onProgress, onWarning }) as Promise<Pcm>,
    close,
  }
}
