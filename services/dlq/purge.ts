import type { Selection } from '#shared/dead-letters/collect.ts'
import type { DeadLetter } from '#shared/dead-letters/dead-letter.ts'
import type { Hold } from '#shared/dead-letters/hold.ts'
import { auditOf } from './audit.ts'
import { readExportedIds } from './exported-ids.ts'
import { count, type Session } from './session.ts'

type PurgeOptions = Selection & {
  /** A file of the messages, as `export` writes it. */
  exported?: string | undefined
  yes?: true | undefined
  audit: string
}

/** Takes messages off the dead-letter queue for good; the line of the audit comes first. */
export async function purge(
  session: Session,
  { exported, yes, audit: auditFile, ...filters }: PurgeOptions,
): Promise<void> {
  const { say, withHold, withAudit, workThrough, report } = session
  const ids = exported === undefined ? undefined : await readExportedIds(exported)
  const choose = async (hold: Hold): Promise<DeadLetter[]> => {
    const { letters, stop } = await session.select(hold, ids ? { ...filters, id: ids } : filters)
    const missing = ids && stop === 'end' ? ids.length - letters.length : 0
    if (missing) say(`${count(missing)} of the export were not found: they are gone, or hidden`)
    return letters
  }
  if (!yes) return session.tellDryRun(await withHold(choose), 'removed for good')
  await withAudit(auditFile, (audit) =>
    withHold(async (hold) => {
      const step = async (letter: DeadLetter) => {
        hold.check(letter.id)
        await audit.write({ ...auditOf('purge', letter), replay_count: letter.replays })
        await hold.remove(letter.id)
        report(letter, { action: 'purge' }, 'removed')
      }
      await workThrough(await choose(hold), step, { what: 'removed', nameOf: ({ id }) => id })
    }),
  )
}
