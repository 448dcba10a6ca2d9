/** One Ctrl-C may come twice, from the terminal and from the command that started this one. */
const repeatedSignalMs = 500

/** Aborted by the first signal, which may come while the rest is still loading. A second one ends the process at once. */
const stopping = new AbortController()
let first = 0

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) {
  process.on(signal, () => {
    if (stopping.signal.aborted) {
      if (performance.now() - first > repeatedSignalMs) process.exit(1)
      return
    }
    first = performance.now()
    stopping.abort()
  })
}

const { serve } = await import('./service.ts')
await serve({ env: process.env, stopping: stopping.signal, exit: process.exit })
