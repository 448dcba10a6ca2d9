import { untilAborted } from '#shared/deadline.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { ClassifierManifest, MusicManifest } from '#shared/model/manifest.ts'
import type { Classification } from '../classifier/classifier.ts'
import type { Clip, Pcm } from '../musicgen/composer.ts'
import type { Generation, InferenceOptions } from './channel.ts'
import { forkInference, type InferenceChild } from './inference-child.ts'
import { readModel } from './model-folder.ts'
import { createRequests } from './requests.ts'

interface Logger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

interface InferenceObserver {
  generated(generation: Generation): void
  /** A process has been lost, and another is being started. */
  restarted(): void
}

export type Inference = Awaited<ReturnType<typeof startInference>>

/** Without a sign of work in between. More than one picture is tried, by which each of them may have ended. */
const maxLosses = 8
const maxRestartDelaySeconds = 4

/**
 * Starts the inference process and keeps one alive: a process that dies, or owes an answer and says nothing for
 * `maxGenerationSeconds`, is replaced, and what it owed fails as retryable, until `gone`. What is asked meanwhile waits for
 * the next. Resolves when the models are loaded; rejects when they cannot be, or with `signal.reason` when aborted before.
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

  let child: InferenceChild
  let ready: Promise<void>
  let isReady = false
  let loaded = false
  /** In use, once there has been a process: what replaces it runs on no other. */
  let executionProvider: string | undefined
  let losses = 0
  const gone = Promise.withResolvers<never>()
  gone.promise.catch(() => {})
  let restart: NodeJS.Timeout | undefined
  const closing = new AbortController()
  const requests = createRequests({
    async ready() {
      closing.signal.throwIfAborted()
      await untilAborted(ready, closing.signal)
    },
    send: (request, onUnsent) => child.send(request, onUnsent),
    silenceSeconds: inferenceOptions.maxGenerationSeconds,
    onSilence() {
      const silenceSeconds = inferenceOptions.maxGenerationSeconds
      logger.error({ pid: child.pid, silence_seconds: silenceSeconds }, 'inference process silent, killing it')
      child.kill()
    },
  })

  stop.throwIfAborted()
  start()
  try {
    await untilAborted(ready!, stop)
  } catch (error) {
    await close()
    throw error
  }
  loaded = true

  function start(): void {
    const wanted = executionProvider ? { executionProviders: [executionProvider] } : {}
    child = forkInference({
      options: { ...inferenceOptions, ...wanted },
      env,
      onFallback: (fallback) => logger.warn(fallback, 'the models cannot be loaded on a provider, trying the next'),
      onResponse(response) {
        if (response.type === 'progress' || response.type === 'answer') losses = 0
        if (response.type === 'generated') observer?.generated(response.generation)
        else requests.settle(response)
      },
      onEnd: replace,
    })
    ready = child.ready.then((provider) => {
      executionProvider = provider
      isReady = true
      logger.info({ pid: child.pid, execution_provider: provider }, 'inference process ready')
    })
    ready.catch(() => {})
  }

  function replace(reason: string): void {
    isReady = false
    requests.failAll(reason)
    if (closing.signal.aborted || !loaded) return
    losses++
    if (losses === maxLosses) {
      ready = Promise.reject(new RetryableFailure('MODEL_UNAVAILABLE', `${reason}; no other is started`))
      ready.catch(() => {})
      const times = `the inference process was lost ${losses} times without a sign of work in between`
      gone.reject(new Error(`${times}; at last: ${reason}`))
      return
    }
    const delaySeconds = Math.min(2 ** (losses - 1), maxRestartDelaySeconds)
    logger.error({ reason, delay_seconds: delaySeconds }, 'inference process lost, starting another')
    observer?.restarted()
    const next = Promise.withResolvers<void>()
    next.promise.catch(() => {})
    ready = next.promise
    restart = setTimeout(() => {
      start()
      next.resolve(ready)
    }, delaySeconds * 1000)
  }

  /** Ends the process; what it still owes fails as retryable. */
  async function close(): Promise<void> {
    closing.abort(new RetryableFailure('MODEL_UNAVAILABLE', 'inference is closed'))
    clearTimeout(restart)
    await child.close()
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
      requests.ask((id) => ({ type: 'classify', id, views }), {
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
    ) => requests.ask((id) => ({ type: 'compose', id, clip }), { signal, onProgress, onWarning }) as Promise<Pcm>,
    /** Rejects when processes have been lost again and again without a sign of work: another machine may fare better. */
    gone: gone.promise,
    close,
  }
}
