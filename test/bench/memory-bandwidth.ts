import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const bytesPerThread = 256 * 2 ** 20
const rounds = 6
/** Searching one buffer for a byte it does not have, comparing two equal ones: the C library's loops of vectors. */
const readings = ['search', 'compare'] as const

interface Task {
  reading: (typeof readings)[number]
  gate: SharedArrayBuffer
  threads: number
}

/** Bytes per second that all cores read from memory together, by the faster way of reading. */
export async function measureMemoryBandwidth(): Promise<number> {
  const threads = availableParallelism()
  let best = 0
  for (const reading of readings) {
    const task: Task = { reading, gate: new SharedArrayBuffer(8), threads }
    const perThread = await Promise.all(
      Array.from({ length: threads }, async () => {
        const worker = new Worker(new URL(import.meta.url), { workerData: task })
        const { promise, resolve, reject } = Promise.withResolvers<number[]>()
        worker.once('message', resolve).once('error', reject)
        return promise
      }),
    )
    for (let round = 0; round < rounds; round++) {
      const slowest = Math.max(...perThread.map((seconds) => seconds[round]!))
      best = Math.max(best, (threads * bytesPerThread) / slowest)
    }
  }
  return best
}

if (!isMainThread) {
  const { reading, gate, threads } = workerData as Task
  const arrived = new Int32Array(gate)
  const half = bytesPerThread / (reading === 'compare' ? 2 : 1)
  const buffers = [Buffer.alloc(half, 1), Buffer.alloc(reading === 'compare' ? half : 0, 1)]
  const seconds: number[] = []
  for (let round = 0; round < rounds; round++) {
    // All threads begin each round together.
    const all = threads * (round + 1)
    if (Atomics.add(arrived, 0, 1) === all - 1) Atomics.notify(arrived, 0)
    for (let now = Atomics.load(arrived, 0); now < all; now = Atomics.load(arrived, 0)) Atomics.wait(arrived, 0, now)
    const start = performance.now()
    const same = reading === 'search' ? buffers[0]!.indexOf(2) === -1 : buffers[0]!.equals(buffers[1]!)
    seconds.push((performance.now() - start) / 1000)
    if (!same) throw new Error('the buffers were filled alike')
  }
  parentPort!.postMessage(seconds)
}
