import type { Selection } from '#shared/dead-letters/collect.ts'
import type { DeadLetter } from '#shared/dead-letters/dead-letter.ts'
import { auditOf } from './audit.ts'
import type { Session } from './session.ts'

type PurgeOptions = Selection & { yes?: true | undefined; audit: string }

/** Takes messages off the dead-letter queue for good; the line of the audit comes first. */
export async function purge(session: Session, { yes, audit: auditFile, ...selection }: PurgeOptions): Promise<void> {
  const { look, withHold, withAudit, workThrough, report } = session
  if (!yes) return session.tellDryRun((await look(selection)).letters, 'removed for good')
  await withAudit(auditFile, (audit) =>
    withHold(async (hold) => {
      const step = async (letter: DeadLetter) => {
        hold.check(letter.id)
        await audit.write({ ...auditOf('purge', letter), replay_count: letter.replays })
        await hold.remove(letter.id)
        report(letter, { action: 'purge' }, 'removed')
      }
      const { letters } = await session.select(hold, selection)
      await workThrough(letters, step, { what: 'removed', nameOf: ({ id }) => id })
    }),
  )
}
