import type { ErrorCode } from '#shared/contract/error-code.ts'
import type { ImageVersion } from '#shared/contract/key.ts'
import type { Logger } from '#shared/logger.ts'
import type { StageTime } from './stopwatch.ts'

/** One try on one job, after it has ended. Times in milliseconds since 1970. */
export interface EndedTry {
  jobId: string
  image: ImageVersion
  messageId: string | undefined
  /** Absent when the job could not be claimed. */
  attempt?: number | undefined
  /** `retried`: it failed and will be tried again. `lost`: with its lease. `stopped`: given back because the consumer stops. */
  outcome: 'succeeded' | 'failed' | 'retried' | 'canceled' | 'lost' | 'stopped'
  /** Of a try that failed. */
  code?: ErrorCode | undefined
  uploadedAt: number
  startedAt: number
  endedAt: number
  stages: readonly StageTime[]
  /** What may say which trace it belongs to, as it came with picture and message, the best first. */
  traceHeaders: readonly string[]
}

/** Hears what happens to messages and pictures; metrics and traces are made of it. Called in passing: it must not wait. */
export interface Observer {
  /** `sentAt`, by the queue's clock, in milliseconds since 1970. */
  messageReceived(message: { sentAt: number | undefined }): void
  /** A message that names no picture of ours has been dead-lettered. */
  messageRefused(code: ErrorCode): void
  tryEnded(ended: EndedTry): void
}

/** All of them as one; what goes wrong in one is logged and touches nothing else. */
export function combineObservers(observers: readonly Partial<Observer>[], logger: Logger): Observer {
  function tell(inform: (observer: Partial<Observer>) => void): void {
    for (const observer of observers) {
      try {
        inform(observer)
      } catch (error) {
        logger.error({ err: error }, 'an observer failed')
      }
    }
  }
  return {
    messageReceived: (message) => tell((each) => each.messageReceived?.(message)),
    messageRefused: (code) => tell((each) => each.messageRefused?.(code)),
    tryEnded: (ended) => tell((each) => each.tryEnded?.(ended)),
  }
}
