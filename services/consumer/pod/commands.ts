import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

/** Runs commands of ours in processes of their own, one at a time. */
export function createCommands() {
  let running: ChildProcess | undefined

  return {
    /** To its end. Resolves to its exit status, as a shell tells it. */
    async run(service: 'models' | 'consumer', args: string[], env: NodeJS.ProcessEnv): Promise<number> {
      const entry = fileURLToPath(new URL(`../../${service}/main.ts`, import.meta.url))
      running = spawn(process.execPath, [entry, ...args], { env, stdio: 'inherit' })
      try {
        const [status, signal] = await once(running, 'exit')
        return status ?? 128 + constants.signals[signal as NodeJS.Signals]
      } finally {
        running = undefined
      }
    },

    /** Hands a signal on to the one that runs, if any does. */
    pass(signal: NodeJS.Signals): void {
      running?.kill(signal)
    },
  }
}
