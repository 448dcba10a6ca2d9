import { readFileSync } from 'node:fs'

/** By Linux's table of processes, where those that have ended stay if nobody reaps them, as in a container without an init. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // Behind the name, which may hold anything.
    return !'ZX'.includes(stat.charAt(stat.lastIndexOf(')') + 2))
  } catch {
    return false
  }
}
