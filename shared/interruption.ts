/** One Ctrl-C may come twice, from the terminal and from the command that started this one. */
const repeatedSignalMs = 500

/**
 * `signal` is aborted by the first SIGINT, SIGTERM or SIGHUP, and by `interrupt`: what was begun is ended in order. The cause
 * of its reason is the name. A later one calls `endAtOnce`.
 */
export function listenForInterruption(endAtOnce: () => void) {
  const controller = new AbortController()
  let first = 0
  let ignored = false

  function interrupt(reason: string): void {
    if (ignored && reason === 'SIGINT') return
    if (!controller.signal.aborted) {
      first = performance.now()
      const message = `${reason}: ended before its time; what was not begun is as it was`
      controller.abort(new Error(message, { cause: reason }))
    } else if (performance.now() - first > repeatedSignalMs) endAtOnce()
  }

  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => interrupt(name))

  return {
    signal: controller.signal,
    interrupt,

    /** While another command has the terminal, Ctrl-C is meant for that one. */
    async ignoring<T>(work: () => Promise<T>): Promise<T> {
      ignored = true
      try {
        return await work()
      } finally {
        ignored = false
      }
    },
  }
}
