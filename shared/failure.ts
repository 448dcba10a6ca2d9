import type { ErrorCode } from './contract/error-code.ts'

/** The same input can never succeed: recorded as failed and dead-lettered at once. */
export class PermanentFailure extends Error {
  override name = 'PermanentFailure'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** The same input may succeed later: given back to the queue, within the bounds on attempts. */
export class RetryableFailure extends Error {
  override name = 'RetryableFailure'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
