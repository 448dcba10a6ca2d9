import { fork } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { GuardOrder } from './guard.ts'

const guardFile = fileURLToPath(new URL('guard.ts', import.meta.url))

interface ChildOptions {
  command: string
  args: string[]
  /** Folder to run in and environment: this process's own when absent. */
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** Standard output and error are appended to this file. */
  logFile: string
  stopSignal?: NodeJS.Signals
  graceMilliseconds?: number
  /** Folder to remove after the command has ended. */
  throwaway?: string
}

export interface Child {
  logFile: string
  /** Says how the command ended, once it has. */
  ended: Promise<string>
  /** Resolves when nothing of the command is left. */
  close(): Promise<void>
}

const running = new Set<Child>()

/** Starts a command that dies with this process, even when this process is killed. */
export function startChild({
  command,
  args,
  cwd,
  env,
  logFile,
  stopSignal = 'SIGTERM',
  graceMilliseconds = 8_000,
  throwaway,
}: ChildOptions): Child {
  const order: GuardOrder = { command, args, stopSignal, graceMilliseconds, throwaway }
  const log = openSync(logFile, 'a')
  // In a session of its own, so that a Ctrl-C in the terminal reaches this process alone and the order of stopping is ours.
  const guard = fork(guardFile, [JSON.stringify(order)], {
    detached: true,
    ...(cwd && { cwd }),
    ...(env && { env }),
    execArgv: [],
    stdio: ['ignore', log, log, 'ipc'],
  })
  closeSync(log)
  const gone = new Promise<string>((resolve) => {
    guard.once('exit', () => resolve('stopped'))
    guard.once('error', (error) => resolve(error.message))
  })
  const ended = new Promise<string>((resolve) => {
    guard.once('message', (how) => resolve(String(how)))
    void gone.then(resolve)
  })

  const child: Child = {
    logFile,
    ended,
    async close() {
      if (guard.connected) guard.disconnect()
      const limit = setTimeout(() => guard.kill('SIGKILL'), graceMilliseconds + 5_000)
      await gone
      clearTimeout(limit)
    },
  }
  running.add(child)
  void gone.then(() => running.delete(child))
  return child
}

/** Ends whatever this process has started and not yet closed, all at once. */
export async function closeChildren(): Promise<void> {
  await Promise.all(Array.from(running, (child) => child.close()))
}

/** The end of a log, for the text of an error. */
export async function logTail(file: string, lines = 15): Promise<string> {
  const text = await readFile(file, 'utf8').catch((error: Error) => `(no log: ${error.message})`)
  return text.trimEnd().split('\n').slice(-lines).join('\n')
}
