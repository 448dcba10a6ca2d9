import { open, readFile, rm, stat } from 'node:fs/promises'
import { UsageError } from '#shared/command-line.ts'
import { fileFault } from '#shared/file-fault.ts'
import { printable } from '#shared/printable.ts'
import { type Audit, openAudit } from './audit.ts'
import { editBody } from './body-editor.ts'
import { collect } from './collect.ts'
import { type DeadLetter, replayedAttributes } from './dead-letter.ts'
import type { DeadLetterQueue } from './dead-letter-queue.ts'
import { createFilter, type Filter } from './filter.ts'
import { createHold, type Hold } from './hold.ts'
import { inTurn, type Tally } from './in-turn.ts'
import { jsonLine } from './json-line.ts'
import { describeLetter } from './letter-text.ts'
import type { MoveTask } from './move-task.ts'
import { type ImportedMessage, readRecords, recordOf } from './record.ts'
import { bodyFault, purgeLetter, replayLetter } from './replay.ts'
import { describeKeys, formatTable } from './table.ts'

const maxImportBytes = 256 * 2 ** 20
/** SQS's own. */
const maxMoveRate = 500

export type Operator = ReturnType<typeof createOperator>
type Selection = Filter & { limit: number }
type Acting = { yes?: true | undefined; audit: string }

/** What an operator does with the dead-letter queue, and is told of it. */
export function createOperator({
  queue,
  moveTask,
  signal,
  print,
  say,
  complain,
  now = Date.now,
}: {
  queue: DeadLetterQueue
  moveTask: MoveTask
  /** Aborted to end after the message at hand. */
  signal: AbortSignal
  /** To standard output. */
  print: (line: string) => void
  /** To standard error. */
  say: (line: string) => void
  /** As `say`, of what could not be done. */
  complain: (line: string) => void
  now?: () => number
}) {
  async function withHold<T>(use: (hold: Hold) => Promise<T>): Promise<T> {
    const hold = createHold({ queue })
    try {
      return await use(hold)
    } finally {
      const fault = await hold.giveBack()
      if (fault) complain(fault)
    }
  }

  async function select(hold: Hold, { limit, ...filter }: Selection): Promise<DeadLetter[]> {
    const { id: ids } = filter
    const enough = ids ? Math.min(limit, new Set(ids).size) : limit
    const { letters, stop } = await collect({ hold, limit: enough, matches: createFilter(filter, now()), signal })
    if (stop === 'limit' && !ids) say(`stopped at the limit of ${limit}: there may be more`)
    if (stop === 'full') say('stopped reading: one run cannot hold more messages; there may be others')
    return letters
  }

  /** The messages, given back before anything is printed: whoever reads may be slow, or gone. */
  function look(selection: Selection): Promise<DeadLetter[]> {
    return withHold((hold) => select(hold, selection))
  }

  async function withAudit(file: string, use: (audit: Audit) => Promise<void>): Promise<void> {
    const audit = await openAudit(file)
    try {
      await use(audit)
    } finally {
      await audit.close()
    }
  }

  function tellDryRun(letters: DeadLetter[], what: string): void {
    if (letters.length) print(formatTable(letters, now()))
    say(`dry run: ${count(letters.length)} would be ${what}; --yes does it`)
  }

  const tellFailure = ({ id }: { id: string }, error: Error) =>
    complain(`${printable(id)}: ${printable(error.message)}`)

  /** Throws the reason of an interruption when it has left anything undone. */
  function tellTally(what: string, { done, failed, rest }: Tally, left = 0): void {
    const parts = [`${done} ${what}`, failed && `${failed} failed`, left && `${left} left`, rest && `${rest} not begun`]
    say(parts.filter(Boolean).join(', '))
    if (!rest) return
    signal.throwIfAborted()
    complain('one failure after the other: ended')
  }

  return {
    async list({ json, ...selection }: Selection & { json?: true | undefined }): Promise<void> {
      const letters = await look(selection)
      if (json) for (const letter of letters) print(jsonLine(summaryOf(letter, now())))
      else if (letters.length) print(formatTable(letters, now()))
      say(`${count(letters.length)}; about ${await queue.count()} in the dead-letter queue`)
    },

    async show(id: string): Promise<void> {
      const [letter] = await look({ id: [id], limit: 1 })
      if (letter) print(describeLetter(letter, now()))
      else complain(`no message ${printable(id)} is visible in the dead-letter queue`)
    },

    async export({ out, ...selection }: Selection & { out?: string | undefined }): Promise<void> {
      const letters = await look(selection)
      const lines = letters.map((letter) => jsonLine(recordOf(letter)))
      if (out) await writeNewFile(out, lines)
      else for (const line of lines) print(line)
      say(`${count(letters.length)} exported`)
    },

    async replay({
      rate,
      maxReplays,
      editor,
      bodyFile,
      yes,
      audit: auditFile,
      ...selection
    }: Selection &
      Acting & { rate: number; maxReplays: number; editor?: string | undefined; bodyFile?: string | undefined }) {
      const given = bodyFile && (await readGivenFile(bodyFile))
      if (given) checkBody(given)

      const choose = async (hold: Hold) => {
        const found = await select(hold, selection)
        const letters = found.filter(({ replays }) => replays < maxReplays)
        const left = found.length - letters.length
        if (left) say(`${count(left)} left: replayed ${maxReplays} times or more; --max-replays raises that`)
        if ((editor || given) && letters.length !== 1) {
          throw new UsageError(`a body is for one message, and ${letters.length} were found: name it by --id`)
        }
        return { letters: given ? letters.map((letter) => ({ ...letter, body: given })) : letters, left }
      }
      if (!yes) return tellDryRun((await withHold(choose)).letters, 'replayed')

      await withAudit(auditFile, (audit) =>
        withHold(async (hold) => {
          const { letters, left } = await choose(hold)
          if (editor) letters[0] = { ...letters[0]!, body: checkBody(await editBody(letters[0]!.body, editor)) }
          const replay = async (letter: DeadLetter) => {
            const newId = await replayLetter(letter, { queue, hold, audit })
            print(printable(`${letter.id} replayed as ${newId}: ${describeKeys(letter.imageKeys)}`))
          }
          tellTally('replayed', await inTurn(letters, replay, { rate, signal, onError: tellFailure }), left)
        }),
      )
    },

    async moveAll({ rate, yes, audit: auditFile }: Acting & { rate: number }): Promise<void> {
      const perSecond = Math.max(1, Math.floor(rate))
      if (rate > maxMoveRate) throw new UsageError(`SQS moves ${maxMoveRate} messages a second at most`)
      say('a move task moves everything, however often it was replayed before: the cap is not applied')
      if (!yes) {
        return say(
          `dry run: about ${await queue.count()} messages would be moved, ${perSecond} a second; --yes does it`,
        )
      }
      await withAudit(auditFile, async (audit) => {
        const onStart = (taskHandle: string) => audit.write({ action: 'move', task_handle: taskHandle })
        const onProgress = (moved: number, all: number) => say(`moved about ${moved} of ${all}`)
        const { moved, status, failure } = await moveTask.run({ rate: perSecond, signal, onStart, onProgress })
        await audit.write({ action: 'moved', messages: moved, status, failure })
        say(`${status.toLowerCase()}: about ${count(moved)} moved`)
        if (status !== 'COMPLETED') complain(printable(failure ?? 'the rest is still in the dead-letter queue'))
      })
    },

    async purge({ yes, audit: auditFile, ...selection }: Selection & Acting): Promise<void> {
      if (!yes) return tellDryRun(await look(selection), 'removed for good')
      await withAudit(auditFile, (audit) =>
        withHold(async (hold) => {
          const letters = await select(hold, selection)
          const purge = async (letter: DeadLetter) => {
            await purgeLetter(letter, { hold, audit })
            print(printable(`${letter.id} removed: ${describeKeys(letter.imageKeys)}`))
          }
          const options = { rate: Number.POSITIVE_INFINITY, signal, onError: tellFailure }
          tellTally('removed', await inTurn(letters, purge, options))
        }),
      )
    },

    async import({
      file,
      toQueue,
      fromLine,
      rate,
      yes,
      audit: auditFile,
    }: Acting & { file: string; toQueue?: true | undefined; fromLine: number; rate: number }): Promise<void> {
      const { messages, faults } = readRecords(await readGivenFile(file))
      for (const fault of faults) say(printable(fault))
      if (faults.length) throw new UsageError(`${printable(file)} has faults: nothing was sent`)
      const wanted = messages.filter(({ line }) => line >= fromLine)
      const target = toQueue ? 'the source queue' : 'the dead-letter queue'
      if (!yes) return say(`dry run: ${count(wanted.length)} would be sent to ${target}; --yes does it`)

      await withAudit(auditFile, async (audit) => {
        const send = async ({ id, body, attributes, line }: ImportedMessage) => {
          const newId = toQueue
            ? await queue.sendToQueue(body, replayedAttributes(attributes))
            : await queue.sendToDlq(body, attributes)
          await audit.write({ action: 'import', message_id: id, new_message_id: newId, target, line })
        }
        const onError = ({ line }: ImportedMessage, error: Error) =>
          complain(`line ${line}: ${printable(error.message)}`)
        const tally = await inTurn(wanted, send, { rate, signal, onError })
        if (tally.rest) say(`to go on: --from-line ${wanted.at(-tally.rest)!.line}`)
        tellTally(`sent to ${target}`, tally)
      })
    },
  }
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

function count(messages: number): string {
  return messages === 1 ? '1 message' : `${messages} messages`
}

function checkBody(body: string): string {
  const fault = bodyFault(body)
  if (fault) throw new UsageError(printable(`${fault}; nothing was sent`))
  return body
}

async function readGivenFile(file: string): Promise<string> {
  try {
    const { size } = await stat(file)
    if (size > maxImportBytes)
      throw new UsageError(`${printable(file)} has more than ${maxImportBytes} bytes: split it`)
    return await readFile(file, 'utf8')
  } catch (cause) {
    if (cause instanceof UsageError) throw cause
    throw new UsageError(fileFault(file, 'it cannot be read', cause), { cause })
  }
}

async function writeNewFile(file: string, lines: string[]): Promise<void> {
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
