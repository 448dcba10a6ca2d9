import type { Selection } from '#shared/dead-letters/collect.ts'
import { summaryOf } from '#shared/dead-letters/dead-letter.ts'
import { printable } from '#shared/printable.ts'
import { writeNewFile } from './given-file.ts'
import { jsonLine } from './json-line.ts'
import { describeLetter } from './letter-text.ts'
import { recordOf } from './record.ts'
import { count, type Session } from './session.ts'

export async function list({ queue, look, tell, say }: Session, selection: Selection): Promise<void> {
  const { letters } = await look(selection)
  tell(letters)
  say(`${count(letters.length)}; about ${await queue.count()} in the dead-letter queue`)
}

export async function show({ look, json, print, complain }: Session, id: string): Promise<void> {
  const { letters } = await look({ id: [id], limit: 1 })
  const [letter] = letters
  if (letter)
    print(
      json ? jsonLine({ ...summaryOf(letter, Date.now()), ...recordOf(letter) }) : describeLetter(letter, Date.now()),
    )
  else complain(`no message ${printable(id)} is visible in the dead-letter queue`)
}

/** What others hide meanwhile, or one run cannot hold, is not in it. */
export async function exportLetters(
  { look, print, say, complain }: Session,
  { out, ...selection }: Selection & { out?: string | undefined },
): Promise<void> {
  const { letters, isWhole } = await look(selection)
  const lines = letters.map((letter) => jsonLine(recordOf(letter)))
  if (out) await writeNewFile(out, lines)
  else for (const line of lines) print(line)
  say(`${count(letters.length)} exported`)
  if (!isWhole) complain('this export may lack messages: purge --exported removes those it has, and no others')
}
