/** Waits for `pending`, but no longer than `milliseconds`; then throws what `expired` gives. It does not stop the work. */
export async function withDeadline<T>(pending: Promise<T>, milliseconds: number, expired: () => Error): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(expired()), milliseconds)
  try {
    return await Promise.race([pending, promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Waits for `pending`, but throws `signal.reason` once it is aborted. It does not stop the work. */
export async function untilAborted<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  if (signal.aborted) abort()
  try {
    return await Promise.race([pending, promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
