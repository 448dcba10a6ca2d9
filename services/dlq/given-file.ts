import { open, readFile, rm, stat } from 'node:fs/promises'
import { UsageError } from '#shared/command-line.ts'
import { fileFault } from '#shared/file-fault.ts'
import { printable } from '#shared/printable.ts'

const maxBytes = 256 * 2 ** 20

/** Throws UsageError. */
export async function readGivenFile(file: string): Promise<string> {
  try {
    const { size } = await stat(file)
    if (size > maxBytes) throw new UsageError(`${printable(file)} has more than ${maxBytes} bytes: split it`)
    return await readFile(file, 'utf8')
  } catch (cause) {
    if (cause instanceof UsageError) throw cause
    throw new UsageError(fileFault(file, 'it cannot be read', cause), { cause })
  }
}

/** Throws UsageError when there is something of that name; what could not be written to its end is not left. */
export async function writeNewFile(file: string, lines: string[]): Promise<void> {
  const handle = await open(file, 'wx').catch((cause: unknown) => {
    throw new UsageError(fileFault(file, 'it cannot be created', cause), { cause })
  })
  try {
    for (const line of lines) await handle.appendFile(`${line}\n`)
  } catch (error) {
    await rm(file)
    throw error
  } finally {
    await handle.close()
  }
}
