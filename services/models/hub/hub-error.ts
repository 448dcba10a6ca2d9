/** The hub did not give what was asked for. `retryable` says whether asking again may help. */
export class HubError extends Error {
  override name = 'HubError'
  readonly retryable: boolean

  constructor(message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, { cause: options.cause })
    this.retryable = options.retryable
  }
}
