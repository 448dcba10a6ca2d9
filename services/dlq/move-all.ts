import { printable } from '#shared/printable.ts'
import type { MoveTask } from './move-task.ts'
import { count, type Session } from './session.ts'

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
