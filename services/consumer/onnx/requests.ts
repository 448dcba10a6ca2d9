import { untilAborted } from '#shared/deadline.ts'
import { RetryableFailure } from '#shared/failure.ts'
import type { Request } from './channel.ts'
import type { WorkResponse } from './inference-child.ts'

type Answer = (WorkResponse & { type: 'answer' })['value']

interface Hearing {
  onProgress(fraction: number): void
  onWarning(message: string): void
}

interface Pending extends Hearing {
  resolve(value: Answer): void
  reject(reason: unknown): void
}

/** What is asked of the inference process and not answered yet; `onSilence` hears when it owes an answer and says nothing. */
export function createRequests({
  ready,
  send,
  silenceSeconds,
  onSilence,
}: {
  /** Rejects when nothing can be asked. */
  ready(): Promise<unknown>
  send(request: Request, onUnsent: () => void): void
  silenceSeconds: number
  onSilence(): void
}) {
  const pending = new Map<number, Pending>()
  let lastId = 0
  let watchdog: NodeJS.Timeout | undefined

  /** Starts the count of silence anew. */
  function watch(): void {
    clearTimeout(watchdog)
    if (pending.size > 0) watchdog = setTimeout(onSilence, silenceSeconds * 1000)
  }

  return {
    /** Rejects with `signal.reason` at once when aborted; the process then drops the work at its next chunk. */
    async ask(
      request: (id: number) => Request,
      { signal, ...hearing }: { signal: AbortSignal } & Hearing,
    ): Promise<Answer> {
      signal.throwIfAborted()
      const id = ++lastId
      try {
        await untilAborted(ready(), signal)
        const answered = new Promise<Answer>((resolve, reject) => pending.set(id, { resolve, reject, ...hearing }))
        send(request(id), () => {
          const reason = 'the inference process had ended when it was asked'
          pending.get(id)?.reject(new RetryableFailure('MODEL_UNAVAILABLE', reason))
        })
        if (pending.size === 1) watch()
        return await untilAborted(answered, signal)
      } finally {
        if (pending.delete(id)) {
          send({ type: 'cancel', id }, () => {})
          if (pending.size === 0) clearTimeout(watchdog)
        }
      }
    },

    settle(response: Exclude<WorkResponse, { type: 'generated' }>): void {
      const waiting = pending.get(response.id)
      if (waiting && response.type === 'progress') waiting.onProgress(response.fraction)
      else if (waiting && response.type === 'warning') waiting.onWarning(response.message)
      else if (waiting && response.type === 'answer') waiting.resolve(response.value)
      else if (waiting && response.type === 'failure') {
        waiting.reject(new RetryableFailure('GENERATION_FAILED', response.message))
      }
      if (response.type === 'answer' || response.type === 'failure') pending.delete(response.id)
      watch()
    },

    failAll(reason: string): void {
      clearTimeout(watchdog)
      for (const { reject } of pending.values()) reject(new RetryableFailure('GENERATION_FAILED', reason))
      pending.clear()
    },
  }
}
