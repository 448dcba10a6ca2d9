import { UsageError } from '#shared/command-line.ts'
import { readQueueMessage } from '#shared/contract/queue-message.ts'
import type { Selection } from '#shared/dead-letters/collect.ts'
import { type DeadLetter, withBody } from '#shared/dead-letters/dead-letter.ts'
import type { Hold } from '#shared/dead-letters/hold.ts'
import { createReplay } from '#shared/dead-letters/replay.ts'
import { printable } from '#shared/printable.ts'
import { auditOf } from './audit.ts'
import { readGivenFile } from './given-file.ts'
import { count, type Session } from './session.ts'

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

/** Sends messages to the source queue again, one after the other, as `createReplay` says. */
export async function replay(
  session: Session,
  { rate, maxReplays, edit, bodyFile, yes, audit: auditFile, ...selection }: ReplayOptions,
): Promise<void> {
  const { queue, withHold, withAudit, workThrough, report } = session
  const body = bodyFile && checkBody(await readGivenFile(bodyFile))
  const choose = async (hold: Hold): Promise<DeadLetter[]> => {
    const { letters, wornCount } = await session.select(hold, { ...selection, maxReplays })
    if (wornCount) {
      session.say(`${count(wornCount)} left: replayed ${maxReplays} times or more; --max-replays raises that`)
    }
    if ((edit || body) && letters.length !== 1) {
      throw new UsageError(`a body is for one message, and ${letters.length} were found: name it by --id`)
    }
    return letters
  }
  if (!yes) {
    const letters = await withHold(choose)
    return session.tellDryRun(body ? letters.map((letter) => withBody(letter, body)) : letters, 'replayed')
  }

  await withAudit(auditFile, (audit) =>
    withHold(async (hold) => {
      const letters = await choose(hold)
      const original = letters[0]
      const newBody = edit && original ? checkBody(await edit(original.body)) : body
      const isEdited = original !== undefined && newBody !== undefined && newBody !== original.body
      if (isEdited) letters[0] = withBody(original, newBody)
      const record = (letter: DeadLetter, newId: string) =>
        audit.write({
          ...auditOf('replay', letter),
          ...(isEdited && { edited: true, old_image_key: original.imageKeys[0] }),
          new_message_id: newId,
          replay_count: letter.replays + 1,
        })
      const send = createReplay({ queue, hold, record })
      const step = async (letter: DeadLetter) => {
        const newId = await send(letter)
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
