import { UsageError } from '#shared/command-line.ts'
import { replayedAttributes } from '#shared/dead-letters/dead-letter.ts'
import { printable } from '#shared/printable.ts'
import { readGivenFile } from './given-file.ts'
import { type ImportedMessage, readRecords } from './record.ts'
import { count, type Session } from './session.ts'

interface ImportOptions {
  toQueue?: true | undefined
  fromLine: number
  /** Messages a second. */
  rate: number
  yes?: true | undefined
  audit: string
}

/** Sends what was exported; nothing of it when a line is not valid. */
export async function importLetters(
  { queue, say, withAudit, workThrough }: Session,
  file: string,
  { toQueue, fromLine, rate, yes, audit: auditFile }: ImportOptions,
): Promise<void> {
  const { messages, faults } = readRecords(await readGivenFile(file))
  for (const fault of faults) say(printable(fault))
  if (faults.length) throw new UsageError(`${printable(file)} has faults: nothing was sent`)
  const wanted = messages.filter(({ line }) => line >= fromLine)
  const target = toQueue ? 'the source queue' : 'the dead-letter queue'
  if (!yes) return say(`dry run: ${count(wanted.length)} would be sent to ${target}; --yes does it`)

  await withAudit(auditFile, async (audit) => {
    const step = async ({ id, body, attributes, line }: ImportedMessage) => {
      const newId = toQueue
        ? await queue.sendToQueue(body, replayedAttributes(attributes))
        : await queue.sendToDlq(body, attributes)
      await audit.write({ action: 'import', message_id: id, new_message_id: newId, target, line })
    }
    await workThrough(wanted, step, {
      rate,
      what: `sent to ${target}`,
      nameOf: ({ line }) => `line ${line}`,
      onRest: ({ line }) => say(`to go on: --from-line ${line}`),
    })
  })
}
