import { type Collected, collect, type Selection } from '#shared/dead-letters/collect.ts'
import { type DeadLetter, summaryOf } from '#shared/dead-letters/dead-letter.ts'
import type { DeadLetterQueue } from '#shared/dead-letters/dead-letter-queue.ts'
import { type Hold, withHold } from '#shared/dead-letters/hold.ts'
import { inTurn } from '#shared/dead-letters/replay.ts'
import { printable } from '#shared/printable.ts'
import { type Audit, openAudit } from './audit.ts'
import { jsonLine } from './json-line.ts'
import { describeKeys, formatTable } from './table.ts'

export type Session = ReturnType<typeof createSession>

/** How every command reads the dead-letter queue, works on it, and tells of it. */
export function createSession({
  queue,
  json = false,
  signal,
  print,
  say,
  complain,
}: {
  queue: DeadLetterQueue
  /** Print JSON Lines, for programs. */
  json?: boolean | undefined
  /** Aborted to end after the message at hand. */
  signal: AbortSignal
  /** To standard output. */
  print: (line: string) => void
  /** To standard error. */
  say: (line: string) => void
  /** As `say`, of what could not be done. */
  complain: (line: string) => void
}) {
  /** Everything that is held meanwhile is given back, whatever happens. */
  const holding = <T>(use: (hold: Hold) => Promise<T>): Promise<T> => withHold({ queue, onFault: complain }, use)

  /** `isWhole`: as far as can be told, all that match are there, but for a limit that was set. */
  async function select(hold: Hold, selection: Selection): Promise<Collected & { isWhole: boolean }> {
    const before = await queue.count()
    const found = await collect(hold, selection, { signal, now: Date.now() })
    // SQS may count for a while what was hidden, or given back, just now twice: so the lesser of two counts is taken.
    const others = found.stop === 'end' ? Math.min(before, await queue.count()) - found.received : 0
    if (found.stop === 'limit') say(`stopped at the limit of ${selection.limit}: there may be more`)
    if (found.stop === 'full') say('stopped reading: one run cannot hold more messages; there may be others')
    if (others > 0) say(`SQS counts about ${count(others)} more, hidden or new, that were not read`)
    return { ...found, isWhole: found.stop !== 'full' && others <= 0 }
  }

  /** A table, or JSON Lines. */
  function tell(letters: DeadLetter[]): void {
    if (json) for (const letter of letters) print(jsonLine(summaryOf(letter, Date.now())))
    else if (letters.length) print(formatTable(letters, Date.now()))
  }

  return {
    queue,
    json,
    signal,
    print,
    say,
    complain,
    withHold: holding,
    select,
    tell,

    /** One message that was acted on: a line of JSON, or the sentence. */
    report(letter: DeadLetter, done: { action: string; new_message_id?: string }, sentence: string): void {
      const { id, reasonCode, imageKeys } = letter
      const fields = { message_id: id, ...done, reason_code: reasonCode, image_keys: imageKeys }
      print(json ? jsonLine(fields) : printable(`${id} ${sentence}: ${describeKeys(imageKeys)}`))
    },

    /** The messages, given back before anything is printed: whoever reads may be slow, or gone. */
    look: (selection: Selection) => holding((hold) => select(hold, selection)),

    async withAudit(file: string, use: (audit: Audit) => Promise<void>): Promise<void> {
      const audit = await openAudit(file)
      try {
        await use(audit)
      } finally {
        await audit.close()
      }
    },

    tellDryRun(letters: DeadLetter[], what: string): void {
      tell(letters)
      say(`dry run: ${count(letters.length)} would be ${what}; --yes does it`)
    },

    /** Throws the reason of an interruption when that has left anything undone. */
    async workThrough<T>(
      items: readonly T[],
      step: (item: T) => Promise<void>,
      {
        rate = Number.POSITIVE_INFINITY,
        what,
        nameOf,
        onRest,
      }: { rate?: number; what: string; nameOf: (item: T) => string; onRest?: (first: T) => void },
    ): Promise<void> {
      const onError = (item: T, error: Error) => complain(printable(`${nameOf(item)}: ${error.message}`))
      const { done, failed, rest } = await inTurn(items, step, { rate, signal, onError })
      const parts = [`${done} ${what}`, failed && `${failed} failed`, rest && `${rest} not begun`]
      say(parts.filter(Boolean).join(', '))
      if (!rest) return
      onRest?.(items.at(-rest)!)
      signal.throwIfAborted()
      complain('one failure after the other: ended')
    },
  }
}

export function count(messages: number): string {
  return messages === 1 ? '1 message' : `${messages} messages`
}
