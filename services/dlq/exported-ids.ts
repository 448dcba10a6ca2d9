import { createReadStream } from 'node:fs'
import { UsageError } from '#shared/command-line.ts'
import { maxReceived } from '#shared/dead-letters/collect.ts'
import { batchSize } from '#shared/dead-letters/dead-letter-queue.ts'
import { fileFault } from '#shared/file-fault.ts'
import { printable } from '#shared/printable.ts'
import { readRecord } from './record.ts'

/** A message as large as SQS takes, each byte of which is escaped, is shorter. */
const maxLineLength = 8 * 2 ** 20
const maxIdLength = 100
/** A run reads on while it has fewer than it may have. */
const maxExported = maxReceived + batchSize - 1

/**
 * The ids of the messages in a file that `export` wrote, of which a line at a time is held. Throws UsageError; also when a
 * line is one that `import` would not take.
 */
export async function readExportedIds(file: string): Promise<string[]> {
  const ids = new Set<string>()
  let line = 0
  const faulty = (fault: string) => new UsageError(printable(`${file}: ${fault}: nothing was removed`))
  try {
    for await (const json of linesOf(file)) {
      line++
      if (json.length > maxLineLength) throw faulty(`line ${line}: it is too long`)
      if (!json.trim()) continue
      const read = readRecord(json)
      if (typeof read === 'string') throw faulty(`line ${line}: ${read}`)
      if (!read.id || read.id.length > maxIdLength) throw faulty(`line ${line}: it has no message_id`)
      ids.add(read.id)
      if (ids.size > maxExported) throw faulty(`it names more than ${maxExported} messages`)
    }
  } catch (cause) {
    if (cause instanceof UsageError) throw cause
    throw new UsageError(fileFault(file, 'it cannot be read', cause), { cause })
  }
  if (!ids.size) throw faulty('it names no message')
  return [...ids]
}

/** Of one that is too long, as much as shows it is. */
async function* linesOf(file: string): AsyncGenerator<string, void> {
  let line = ''
  for await (const chunk of createReadStream(file, 'utf8')) {
    const [first = '', ...others] = String(chunk).split('\n')
    line += first
    for (const next of others) {
      yield line
      line = next
    }
    if (line.length > maxLineLength) break
  }
  yield line
}
