import { fork } from 'node:child_process'
import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

/** More than the caches hold. */
const bytesPerThread = 128 * 2 ** 20
const rounds = 2
/** Searching a buffer for a byte it does not have, comparing its equal halves: the C library's loops of vectors. */
const readings = ['search', 'compare'] as const

/**
 * Tells whenever it is asked how many bytes per second all cores read from memory together, by the faster way of
 * reading. What neighbours leave of a shared machine's memory changes within seconds: what is compared with it must be of
 * the same moment.
 */
export function startBandwidthProbe() {
  const child = fork(fileURLToPath(import.meta.url))
  const ended = once(child, 'close').then(() => {
    throw new Error('the process that measures the bandwidth has ended')
  })
  ended.catch(() => {})
  return {
    async measure(): Promise<number> {
      child.send('measure')
      const [bytesPerSecond] = await Promise.race([once(child, 'message'), ended])
      return bytesPerSecond
    },
    close(): void {
      child.kill()
    },
  }
}

if (isMainThread && import.meta.main) {
  const threads = availableParallelism()
  const gate = new SharedArrayBuffer(4)
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL(import.meta.url), { workerData: { gate, threads } }),
  )
  process.on('disconnect', () => process.exit())
  process.on('message', async () => {
    const perThread = await Promise.all(
      workers.map(async (worker) => {
        worker.postMessage('measure')
        const [seconds] = await once(worker, 'message')
        return seconds as number[]
      }),
    )
    const slowest = readings.map((_, i) => Math.max(...perThread.map((seconds) => seconds[i]!)))
    process.send!((threads * rounds * bytesPerThread) / Math.min(...slowest))
  })
} else if (!isMainThread) {
  const { gate, threads } = workerData as { gate: SharedArrayBuffer; threads: number }
  const arrived = new Int32Array(gate)
  const buffer = Buffer.alloc(bytesPerThread, 1)
  const [front, back] = [buffer.subarray(0, bytesPerThread / 2), buffer.subarray(bytesPerThread / 2)]
  let last = 0
  parentPort!.on('message', () => {
    const seconds = readings.map((reading) => {
      // All threads begin each reading together.
      last += threads
      if (Atomics.add(arrived, 0, 1) === last - 1) Atomics.notify(arrived, 0)
      for (let now = Atomics.load(arrived, 0); now < last; now = Atomics.load(arrived, 0)) Atomics.wait(arrived, 0, now)
      const start = performance.now()
      for (let round = 0; round < rounds; round++) {
        const same = reading === 'search' ? !buffer.includes(2) : front.equals(back)
        if (!same) throw new Error('the buffer was filled with one value')
      }
      return (performance.now() - start) / 1000
    })
    parentPort!.postMessage(seconds)
  })
}
