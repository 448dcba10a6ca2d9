import { printable } from '#shared/printable.ts'
import type { DeadLetter } from './dead-letter.ts'
import { writeNewFile } from './given-file.ts'
import { jsonLine } from './json-line.ts'
import { describeLetter } from './letter-text.ts'
import { recordOf } from './record.ts'
import { count, type Selection, type Session } from './session.ts'
import { formatTable } from './table.ts'

/** A table, or JSON Lines. */
export async function list(
  { queue, look, print, say, now }: Session,
  { json, ...selection }: Selection & { json?: true | undefined },
): Promise<void> {
  const letters = await look(selection)
  if (json) for (const letter of letters) print(jsonLine(summaryOf(letter, now())))
  else if (letters.length) print(formatTable(letters, now()))
  say(`${count(letters.length)}; about ${await queue.count()} in the dead-letter queue`)
}

export async function show({ look, print, complain, now }: Session, id: string): Promise<void> {
  const [letter] = await look({ id: [id], limit: 1 })
  if (letter) print(describeLetter(letter, now()))
  else complain(`no message ${printable(id)} is visible in the dead-letter queue`)
}

export async function exportLetters(
  { look, print, say }: Session,
  { out, ...selection }: Selection & { out?: string | undefined },
): Promise<void> {
  const letters = await look(selection)
  const lines = letters.map((letter) => jsonLine(recordOf(letter)))
  if (out) await writeNewFile(out, lines)
  else for (const line of lines) print(line)
  say(`${count(letters.length)} exported`)
}

function summaryOf(letter: DeadLetter, now: number) {
  return {
    message_id: letter.id,
    reason_code: letter.reasonCode,
    reason: letter.reason,
    image_keys: letter.imageKeys,
    failed_at: letter.failedAt.toISOString(),
    age_seconds: Math.floor((now - letter.failedAt.getTime()) / 1000),
    attempts: letter.attempts,
    replay_count: letter.replays,
    sent_at: letter.sentAt.toISOString(),
    body_bytes: Buffer.byteLength(letter.body),
  }
}
