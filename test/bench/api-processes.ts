import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { LoadFigures, LoadOrder } from './api-load.ts'

/** A bare Fastify route that answers `body` as JSON, in a process of its own. */
export async function startBareFastify(body: unknown): Promise<{ origin: string; close(): void }> {
  const child = startProcess('bare-fastify.ts')
  child.send({ body })
  const [origin] = (await answer(child)) as [string]
  return { origin, close: () => void child.kill('SIGKILL') }
}

/** The load generator, in a process of its own that ends with it. */
export async function load(order: LoadOrder): Promise<LoadFigures> {
  const child = startProcess('api-load.ts')
  try {
    child.send(order)
    const [figures] = (await answer(child)) as [LoadFigures]
    return figures
  } finally {
    child.kill('SIGKILL')
  }
}

function startProcess(name: string): ChildProcess {
  return fork(fileURLToPath(new URL(name, import.meta.url)), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
}

async function answer(child: ChildProcess): Promise<unknown[]> {
  const ended = once(child, 'exit').then(([status]) => {
    throw new Error(`${child.spawnfile} ended with status ${status} before it answered`)
  })
  return await Promise.race([once(child, 'message'), ended])
}
