import { readQueueMessage } from '#shared/contract/queue-message.ts'
import type { Audit } from './audit.ts'
import { type DeadLetter, replayedAttributes } from './dead-letter.ts'
import type { DeadLetterQueue } from './dead-letter-queue.ts'
import type { Hold } from './hold.ts'

/**
 * Sends the message to the source queue, then takes it off the dead-letter queue: cut off in between it lies in both, never
 * in neither, and its job begins anew once all the same. The audit comes before the removal, so that nothing leaves
 * without it. Returns the new message's id.
 */
export async function replayLetter(
  letter: DeadLetter,
  { queue, hold, audit }: { queue: Pick<DeadLetterQueue, 'sendToQueue'>; hold: Hold; audit: Audit },
): Promise<string> {
  const { id, body, attributes } = letter
  checkHeld(letter, hold)
  const newId = await queue.sendToQueue(body, replayedAttributes(attributes))
  await audit.write({ ...auditOf('replay', letter), new_message_id: newId, replay_count: letter.replays + 1 })
  await hold.remove(id).catch((cause: unknown) => {
    throw new Error(`it was sent as ${newId} and lies in both queues now: ${(cause as Error).message}`, { cause })
  })
  return newId
}

/** Takes the message off the dead-letter queue for good; the audit comes first. */
export async function purgeLetter(letter: DeadLetter, { hold, audit }: { hold: Hold; audit: Audit }): Promise<void> {
  checkHeld(letter, hold)
  await audit.write({ ...auditOf('purge', letter), replay_count: letter.replays })
  await hold.remove(letter.id)
}

/** Why a body would come back at once, or do nothing; undefined when it announces a picture. */
export function bodyFault(body: string): string | undefined {
  const read = readQueueMessage(body)
  return read.kind === 'uploads' ? undefined : `the body announces no picture: ${read.reason}`
}

function checkHeld({ id }: DeadLetter, hold: Hold): void {
  if (!hold.has(id)) throw new Error('its visibility has run out, and another may have it')
}

function auditOf(action: string, { id, imageKeys, reasonCode }: DeadLetter) {
  return { action, message_id: id, image_key: imageKeys[0], reason_code: reasonCode }
}
