/**
 * Runs one command that must not outlive the process that asked for it, however that one ends: `child.ts` forks this
 * file and holds the other end of its IPC channel. When the channel closes, the command and its process group are
 * stopped and the throwaway folder, if any, is removed.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

export interface GuardOrder {
  command: string
  args: string[]
  /** First sent to the command; SIGKILL follows after the grace period. */
  stopSignal: NodeJS.Signals
  graceMilliseconds: number
  /** Folder to remove after the command has ended. */
  throwaway?: string | undefined
}

const order: GuardOrder = JSON.parse(process.argv[2]!)
const child = spawn(order.command, order.args, { stdio: ['ignore', 'inherit', 'inherit'], detached: true })
const ended = new Promise<string>((resolve) => {
  child.once('error', (error) => resolve(error.message))
  child.once('exit', (status, signal) => resolve(signal ?? `exit status ${status}`))
})
void ended.then((how) => process.connected && process.send!(how))

await Promise.race(['disconnect', 'SIGTERM', 'SIGINT', 'SIGHUP'].map((event) => once(process, event)))
if (child.pid !== undefined) {
  child.kill(order.stopSignal)
  await Promise.race([ended, sleep(order.graceMilliseconds)])
  killGroup(child.pid)
  await ended
}
if (order.throwaway) rmSync(order.throwaway, { recursive: true, force: true, maxRetries: 5 })
process.exit()

function killGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
