import type { ErrorCode, Problem } from './contract.ts'

/** Codes of this client's own. */
export type ClientErrorCode = 'NETWORK_ERROR' | 'UPLOAD_REFUSED' | 'UNEXPECTED_ANSWER'

interface Details {
  status?: number | undefined
  retryable: boolean
  retryAfterSeconds?: number | undefined
  problem?: Problem | undefined
  cause?: unknown
}

/** Whatever went wrong with a call, but an abort: that throws the signal's own reason. */
export class PromenadeError extends Error {
  override name = 'PromenadeError'
  readonly code: ErrorCode | ClientErrorCode
  /** Of the answer, when there was one. */
  readonly status: number | undefined
  /** The same call may succeed later. */
  readonly retryable: boolean
  readonly retryAfterSeconds: number | undefined
  /** What the API said, when it was the API that did. */
  readonly problem: Problem | undefined

  constructor(code: ErrorCode | ClientErrorCode, message: string, details: Details) {
    super(message)
    if (details.cause !== undefined) this.cause = details.cause
    this.code = code
    this.status = details.status
    this.retryable = details.retryable
    this.retryAfterSeconds = details.retryAfterSeconds
    this.problem = details.problem
  }
}

/** The error that an answer is. */
export async function readError(response: Response): Promise<PromenadeError> {
  const { status } = response
  const details = {
    status,
    retryable: status === 408 || status === 429 || status >= 500,
    retryAfterSeconds: readRetryAfter(response.headers),
  }
  const problem = (await response.json().catch(() => undefined)) as Problem | undefined
  if (typeof problem?.code !== 'string' || typeof problem.title !== 'string') {
    return new PromenadeError('UNEXPECTED_ANSWER', `HTTP ${status}, and not from Promenade`, details)
  }
  return new PromenadeError(problem.code, problem.detail ?? problem.title, { ...details, problem })
}

/** Seconds; the API sends no dates. */
export function readRetryAfter(headers: Headers): number | undefined {
  const text = headers.get('retry-after')
  return text && /^\d+$/.test(text) ? Number(text) : undefined
}
