import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { realpath } from 'node:fs/promises'
import { createServer } from 'node:net'
import { UsageError } from '#shared/command-line.ts'
import { printable } from '#shared/printable.ts'
import { createFolder } from './folder.ts'

/**
 * Makes the folder where it is missing and keeps others out until closed or until this process ends. It holds a port
 * that follows from the folder: unlike a file, the system gives that back however the holder ends. Throws UsageError.
 */
export async function lockState(dir: string): Promise<{ close(): void }> {
  await createFolder(dir)
  const digest = createHash('sha256').update(await realpath(dir))
  const port = 20_000 + (digest.digest().readUInt16BE() % 10_000)
  const lock = createServer((socket) => socket.destroy()).listen({ port, host: '127.0.0.1' })
  try {
    await once(lock, 'listening')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause
    const other = `another npm run dev has its state there, or another program 127.0.0.1:${port}`
    throw new UsageError(`${printable(dir)}: ${other}; end it, or name another folder with --state`, { cause })
  }
  lock.unref()
  return { close: () => void lock.close() }
}
