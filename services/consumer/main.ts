import { listenForInterruption } from '#shared/interruption.ts'

// The first signal may come while the rest is still loading. A second one ends the process at once.
const { signal: stopping } = listenForInterruption(() => process.exit(1))

const { serve } = await import('./service.ts')
await serve({ env: process.env, stopping, exit: process.exit })
