import { setTimeout as sleep } from 'node:timers/promises'
import {
  CancelMessageMoveTaskCommand,
  GetQueueAttributesCommand,
  ListMessageMoveTasksCommand,
  type ListMessageMoveTasksResultEntry,
  type SQSClient,
  StartMessageMoveTaskCommand,
} from '@aws-sdk/client-sqs'
import { createCall } from '#shared/aws/queue.ts'
import { printable } from '#shared/printable.ts'
import { count, type Session } from './session.ts'

const call = createCall(30_000)

const pollMs = 2_000
/** SQS itself ends a task after so long. */
const maxHours = 36
/** How a server says that it has no such operation. */
const unknownOperation = new Set(['InvalidAction', 'UnknownOperationException', 'UnknownOperation', 'NotImplemented'])

export type MoveTask = ReturnType<typeof createMoveTask>

interface MoveOutcome {
  moved: number
  status: string
  failure: string | undefined
}

/**
 * SQS's own task that moves everything from the dead-letter queue to the source queue, followed until it has ended. An
 * abort cancels it. The destination is named, since SQS does not know where messages come from that were sent to the
 * dead-letter queue.
 */
export function createMoveTask({ sqs, queueUrl, dlqUrl }: { sqs: SQSClient; queueUrl: string; dlqUrl: string }) {
  async function arnOf(url: string): Promise<string> {
    const command = new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['QueueArn'] })
    const { Attributes: attributes } = await call('looking for the queue', (bounded) => sqs.send(command, bounded))
    if (!attributes?.QueueArn) throw new Error(`the server names no ARN for ${url}`)
    return attributes.QueueArn
  }

  /** The newest task. */
  async function newest(arn: string): Promise<ListMessageMoveTasksResultEntry | undefined> {
    const command = new ListMessageMoveTasksCommand({ SourceArn: arn, MaxResults: 1 })
    const { Results: results = [] } = await call('looking for move tasks', (bounded) => sqs.send(command, bounded))
    return results[0]
  }

  return {
    /** `onStart` is given the task's handle. */
    async run({
      rate,
      signal,
      onStart,
      onProgress,
    }: {
      rate: number
      signal: AbortSignal
      onStart: (handle: string) => Promise<void>
      onProgress: (moved: number, all: number) => void
    }): Promise<MoveOutcome> {
      const [source, destination] = await Promise.all([arnOf(dlqUrl), arnOf(queueUrl)])
      const earlier = await newest(source).catch(explainUnknown)
      signal.throwIfAborted()
      const start = new StartMessageMoveTaskCommand({
        SourceArn: source,
        DestinationArn: destination,
        MaxNumberOfMessagesPerSecond: rate,
      })
      const { TaskHandle: handle = '' } = await call('starting the move task', (bounded) =>
        sqs.send(start, bounded),
      ).catch(explainUnknown)
      await onStart(handle)

      let canceled = false
      const deadline = performance.now() + maxHours * 3_600_000
      while (performance.now() < deadline) {
        if (signal.aborted && !canceled) {
          canceled = true
          const cancel = new CancelMessageMoveTaskCommand({ TaskHandle: handle })
          await call('canceling the move task', (bounded) => sqs.send(cancel, bounded))
        }
        const task = await newest(source)
        // The list may be behind.
        if (task && task.StartedTimestamp !== earlier?.StartedTimestamp) {
          const moved = task.ApproximateNumberOfMessagesMoved ?? 0
          onProgress(moved, task.ApproximateNumberOfMessagesToMove ?? 0)
          const { Status: status = '' } = task
          if (!['RUNNING', 'CANCELLING'].includes(status)) return { moved, status, failure: task.FailureReason }
        }
        // Once it is aborted, the signal wakes nobody.
        const wakeUp = canceled ? undefined : signal
        await sleep(pollMs, undefined, wakeUp && { signal: wakeUp }).catch(() => {})
      }
      throw new Error(`the move task had not ended after ${maxHours} h`)
    },
  }
}

function explainUnknown(error: Error): never {
  const { cause } = error
  if (!(cause instanceof Error) || !unknownOperation.has(cause.name)) throw error
  throw new Error('this server has no move task; without --native, replay --all does the same, message by message', {
    cause,
  })
}

/** Has SQS itself move everything to the source queue, and tells how far it is. */
export async function moveAll(
  { queue, signal, say, complain, withAudit }: Session,
  {
    moveTask,
    rate,
    yes,
    audit: auditFile,
  }: { moveTask: MoveTask; rate: number; yes?: true | undefined; audit: string },
): Promise<void> {
  const perSecond = Math.max(1, Math.floor(rate))
  say('a move task moves everything, however often it was replayed before: the cap is not applied')
  if (!yes) {
    return say(`dry run: about ${await queue.count()} messages would be moved, ${perSecond} a second; --yes does it`)
  }
  await withAudit(auditFile, async (audit) => {
    const onStart = (taskHandle: string) => audit.write({ action: 'move', task_handle: taskHandle })
    const onProgress = (moved: number, all: number) => say(`moved about ${moved} of ${all}`)
    const { moved, status, failure } = await moveTask.run({ rate: perSecond, signal, onStart, onProgress })
    await audit.write({ action: 'moved', messages: moved, status, failure })
    say(`${printable(status.toLowerCase())}: about ${count(moved)} moved`)
    if (status !== 'COMPLETED') complain(printable(failure ?? 'the rest is still in the dead-letter queue'))
  })
}
