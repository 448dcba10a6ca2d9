const timeoutMs = 30_000

/** One call of SQS, its retries included, in bounded time. Throws an error of one line that says what was tried. */
export async function call<T>(what: string, run: (bounded: { abortSignal: AbortSignal }) => Promise<T>): Promise<T> {
  try {
    return await run({ abortSignal: AbortSignal.timeout(timeoutMs) })
  } catch (error) {
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    throw new Error(`${what} failed: ${reason}`, { cause: error })
  }
}
