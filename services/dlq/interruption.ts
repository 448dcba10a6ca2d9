/** One Ctrl-C may come twice, from the terminal and from the command that started this one. */
const repeatedSignalMs = 500

/**
 * Aborted by the first signal, and by `interrupt`; `endAtOnce` is called for a later one. What a command does with
 * messages it ends in order, and they are given back.
 */
export function listenForInterruption(endAtOnce: () => void): { signal: AbortSignal; interrupt(reason: string): void } {
  const controller = new AbortController()
  let first = 0
  const interrupt = (reason: string) => {
    if (!controller.signal.aborted) {
      first = performance.now()
      controller.abort(new Error(`${reason}: ended before its time; what was not begun is as it was`))
    } else if (performance.now() - first > repeatedSignalMs) endAtOnce()
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => interrupt(name))
  return { signal: controller.signal, interrupt }
}
