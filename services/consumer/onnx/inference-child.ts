import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { RetryableFailure } from '#shared/failure.ts'
import type { InferenceOptions, Request, Response } from './channel.ts'
import { onnxProcessEnv } from './process-env.ts'

/** How long loading the models may take. */
const loadSeconds = 600

const entry = fileURLToPath(new URL('./inference-process.ts', import.meta.url))

/** What it says of its work, beside what it says of its start. */
export type WorkResponse = Exclude<Response, { type: 'fallback' | 'ready' | 'fatal' }>

export type InferenceChild = ReturnType<typeof forkInference>

/** One inference process, from its start to its end, of which `onEnd` hears once and why. */
export function forkInference({
  options,
  env,
  onFallback,
  onResponse,
  onEnd,
}: {
  options: InferenceOptions
  env: NodeJS.ProcessEnv
  onFallback(fallback: Omit<Response & { type: 'fallback' }, 'type'>): void
  onResponse(response: WorkResponse): void
  onEnd(reason: string): void
}) {
  const child = fork(entry, [JSON.stringify(options)], {
    serialization: 'advanced',
    env: { ...onnxProcessEnv, ...env },
  })
  const ready = Promise.withResolvers<string>()
  ready.promise.catch(() => {})
  let fatal: string | undefined
  const timer = setTimeout(() => {
    fatal = `the models were not loaded within ${loadSeconds} s`
    child.kill('SIGKILL')
  }, loadSeconds * 1000)
  child.on('message', (response: Response) => {
    if (response.type === 'ready') {
      clearTimeout(timer)
      ready.resolve(response.executionProvider)
    } else if (response.type === 'fallback') {
      const { from, to, reason } = response
      onFallback({ from, to, reason })
    } else if (response.type === 'fatal') {
      fatal = response.message
    } else {
      onResponse(response)
    }
  })
  child.on('error', (error) => {
    // Else it has started, and `close` says how it ended.
    if (child.pid === undefined) fatal = error.message
  })
  child.on('close', (status, signal) => {
    clearTimeout(timer)
    const reason = fatal ?? `the inference process ended (${signal ?? `exit status ${status}`})`
    ready.reject(new RetryableFailure('MODEL_UNAVAILABLE', reason))
    onEnd(reason)
  })

  return {
    pid: child.pid,
    /** Resolves with the provider in use when the models are loaded; rejects as retryable when it ends before. */
    ready: ready.promise,
    /** `onUnsent` hears when it has ended; `onEnd` follows. */
    send(request: Request, onUnsent: () => void): void {
      if (child.connected) child.send(request, (error) => error && onUnsent())
      else onUnsent()
    },
    kill: () => child.kill('SIGKILL'),
    /** Kills it; resolves when it has ended. */
    async close(): Promise<void> {
      if (child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise((resolve) => child.once('close', resolve))
      child.kill('SIGKILL')
      await ended
    },
  }
}
