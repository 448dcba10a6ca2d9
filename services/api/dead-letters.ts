import type { FastifyBaseLogger } from 'fastify'
import pLimit from 'p-limit'
import { type Collected, collect, longestFailedFirst, type Selection } from '#shared/dead-letters/collect.ts'
import { type DeadLetter, summaryOf } from '#shared/dead-letters/dead-letter.ts'
import type { DeadLetterQueue } from '#shared/dead-letters/dead-letter-queue.ts'
import { type Hold, withHold } from '#shared/dead-letters/hold.ts'
import { createReplay, inTurn, LiesInBoth, maxReplays } from '#shared/dead-letters/replay.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'

/** How long those stay hidden that a process which was killed had read. */
const visibilitySeconds = 30
/** One answer, which has no bodies in it, has room in what a function may answer. */
const most = {
  maxReceived: 1_000,
  maxBytes: 2 ** 20,
  bytesOf: (letter: DeadLetter) => Buffer.byteLength(JSON.stringify(summaryOf(letter, 0))),
}
const maxWaiting = 10
const maxCodeLength = 64

interface Asking {
  /** Aborted when nobody waits for the answer any more. */
  gone: AbortSignal
  log: FastifyBaseLogger
}

interface Replay {
  /** Tells what would be done. */
  dryRun: boolean
  /** Leaves those that were replayed so often. */
  maxReplays?: number | undefined
  caller: string
}

type Outcome =
  | { outcome: 'would_be_replayed' }
  | { outcome: 'replayed'; new_message_id: string }
  | { outcome: 'left'; detail: string }
  | { outcome: 'failed'; detail: string; new_message_id?: string }

/**
 * The dead letters as `npm run dlq` lists and replays them, in the time that a call has. One reading at a time: each hides
 * from the others what it reads, until it gives that back.
 */
export function createDeadLetters({
  queue,
  readMs = 6_000,
  workMs = 10_000,
}: {
  /** Absent where the API is told of no dead-letter queue. */
  queue: DeadLetterQueue | undefined
  /** From the call, for its turn and for reading. */
  readMs?: number
  /** From the call, until no other replay is begun. */
  workMs?: number
}) {
  const oneAtATime = pLimit(1)
  const closing = new AbortController()

  /** Everything that is read is given back before it resolves, but for what was replayed. */
  async function read<T>(
    selection: Selection,
    { gone, log }: Asking,
    use: (found: Collected, reading: { hold: Hold; queue: DeadLetterQueue; signal: AbortSignal }) => Promise<T>,
  ): Promise<{ letters: T; more: boolean }> {
    if (!queue) throw new PermanentFailure('CONFLICT', 'this API knows no dead-letter queue: set DLQ_URL')
    if (oneAtATime.pendingCount >= maxWaiting) throw busy()
    const signal = AbortSignal.any([gone, closing.signal])
    const late = AbortSignal.timeout(readMs)
    const end = AbortSignal.any([signal, AbortSignal.timeout(workMs)])
    return oneAtATime(async () => {
      signal.throwIfAborted()
      if (late.aborted) throw busy()
      const onFault = (fault: string) => log.warn({ fault }, 'dead letters could not be given back')
      return withHold({ queue, seconds: visibilitySeconds, onFault }, async (hold) => {
        const found = await collect(hold, selection, { signal, late, now: Date.now(), ...most })
        return {
          letters: await use(found, { hold, queue, signal: end }),
          more: found.stop !== 'end' && found.stop !== 'named',
        }
      })
    })
  }

  return {
    list: (selection: Selection, asking: Asking) =>
      read(selection, asking, async ({ letters }) => letters.map((letter) => summaryOf(letter, Date.now()))),

    /** A replay that is cut off lies in both queues, never in neither. */
    replay(selection: Selection, { dryRun, maxReplays: maximum = maxReplays, caller }: Replay, asking: Asking) {
      const { log } = asking
      // Whatever the level of the others, these lines are written.
      const auditLog = log.child({}, { level: 'info' })
      return read({ ...selection, maxReplays: maximum }, asking, async ({ letters, worn }, { hold, queue, signal }) => {
        const outcomes = new Map<DeadLetter, Outcome>()
        for (const letter of worn) outcomes.set(letter, left(`it was replayed ${maximum} times or more`))
        const record = async ({ id, reasonCode, replays }: DeadLetter, newId: string) => {
          const reason = { reason_code: reasonCode?.slice(0, maxCodeLength), replay_count: replays + 1 }
          const audit = { action: 'replay', caller, message_id: id, new_message_id: newId, ...reason }
          auditLog.info({ audit }, 'a dead letter was replayed')
        }
        const send = createReplay({ queue, hold, record })
        const step = async (letter: DeadLetter) => {
          const done: Outcome = dryRun
            ? { outcome: 'would_be_replayed' }
            : { outcome: 'replayed', new_message_id: await send(letter) }
          outcomes.set(letter, done)
        }
        const onError = (letter: DeadLetter, error: Error) => {
          log.error({ err: error, message_id: letter.id }, 'a dead letter could not be replayed')
          outcomes.set(letter, failed(error))
        }
        await inTurn(letters, step, { rate: Number.POSITIVE_INFINITY, signal, onError })
        return [...worn, ...letters].toSorted(longestFailedFirst).map((letter) => ({
          ...summaryOf(letter, Date.now()),
          ...(outcomes.get(letter) ?? left('it was not begun, for want of time or after several failures: ask again')),
        }))
      })
    },

    /** Ends what is under way, after the message at hand. */
    close(): void {
      closing.abort(new RetryableFailure('OVERLOADED', 'this instance of the API is closing'))
    },
  }
}

function busy(): RetryableFailure {
  return new RetryableFailure('OVERLOADED', 'other calls are reading the dead letters')
}

function left(detail: string): Outcome {
  return { outcome: 'left', detail }
}

/** What SQS said is for the log. */
function failed(error: Error): Outcome {
  if (error instanceof LiesInBoth) {
    const detail = 'it was sent and could not be taken off, and lies in both queues: sent once more, it does no harm'
    return { outcome: 'failed', new_message_id: error.newId, detail }
  }
  const detail = error instanceof RetryableFailure ? 'sending it failed' : error.message
  return { outcome: 'failed', detail: `${detail}; it is in the dead-letter queue as before` }
}
