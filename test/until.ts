import { setTimeout as sleep } from 'node:timers/promises'

const patienceMs = 60_000

/** Asks again and again for what is neither undefined nor false, and gives up after a minute. */
export async function until<T>(ask: () => T | Promise<T>): Promise<Exclude<T, undefined | false>> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    const answer = await ask()
    if (answer) return answer as Exclude<T, undefined | false>
    if (performance.now() > deadline) throw new Error(`not so within ${patienceMs / 1000} s: ${ask}`)
    await sleep(10)
  }
}
