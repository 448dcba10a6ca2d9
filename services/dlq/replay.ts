import { UsageError } from '#shared/command-line.ts'
import { readQueueMessage } from '#shared/contract/queue-message.ts'
import { printable } from '#shared/printable.ts'
import { auditOf } from './audit.ts'
import { type DeadLetter, replayedAttributes } from './dead-letter.ts'
import { readGivenFile } from './given-file.ts'
import type { Hold } from './hold.ts'
import { count, type Selection, type Session } from './session.ts'

type ReplayOptions = Selection & {
  /** Messages a second. */
  rate: number
  maxReplays: number
  /** Gives one message another body. */
  edit?: ((body: string) => Promise<string>) | undefined
  bodyFile?: string | undefined
  yes?: true | undefined
  audit: string
}

/**
 * Sends each message to the source queue, then takes it off the dead-letter queue: cut off in between it lies in both, never
 * in neither, and its job begins anew once all the same. The line of the audit comes before the removal, so that nothing
 * leaves without it.
 */
export async function replay(
  session: Session,
  { rate, maxReplays, edit, bodyFile, yes, audit: auditFile, ...selection }: ReplayOptions,
): Promise<void> {
  const { queue, withHold, withAudit, workThrough, report } = session
  const body = bodyFile && checkBody(await readGivenFile(bodyFile))
  const choose = async (hold: Hold): Promise<DeadLetter[]> => {
    const found = await session.select(hold, selection)
    const letters = found.filter(({ replays }) => replays < maxReplays)
    const left = found.length - letters.length
    if (left) session.say(`${count(left)} left: replayed ${maxReplays} times or more; --max-replays raises that`)
    if ((edit || body) && letters.length !== 1) {
      throw new UsageError(`a body is for one message, and ${letters.length} were found: name it by --id`)
    }
    return body ? letters.map((letter) => ({ ...letter, body })) : letters
  }
  if (!yes) return session.tellDryRun(await withHold(choose), 'replayed')

  await withAudit(auditFile, (audit) =>
    withHold(async (hold) => {
      const letters = await choose(hold)
      if (edit) letters[0] = { ...letters[0]!, body: checkBody(await edit(letters[0]!.body)) }
      const step = async (letter: DeadLetter) => {
        const { id } = letter
        hold.check(id)
        const newId = await queue.sendToQueue(letter.body, replayedAttributes(letter.attributes))
        await audit.write({ ...auditOf('replay', letter), new_message_id: newId, replay_count: letter.replays + 1 })
        await hold.remove(id).catch((cause: Error) => {
          throw new Error(`it was sent as ${newId} and lies in both queues now: ${cause.message}`, { cause })
        })
        report(letter, { action: 'replay', new_message_id: newId }, `replayed as ${newId}`)
      }
      await workThrough(letters, step, { rate, what: 'replayed', nameOf: ({ id }) => id })
    }),
  )
}

/** A body that asks for no work would come back at once, or do nothing. Throws UsageError. */
function checkBody(body: string): string {
  const read = readQueueMessage(body)
  if (read.kind === 'uploads' || read.kind === 'order') return body
  throw new UsageError(printable(`the body announces no picture: ${read.reason}; nothing was sent`))
}
