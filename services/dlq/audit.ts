import { mkdir, open } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { dirname } from 'node:path'
import { UsageError } from '#shared/command-line.ts'
import type { DeadLetter } from '#shared/dead-letters/dead-letter.ts'
import { AuditError } from '#shared/dead-letters/replay.ts'
import { fileFault } from '#shared/file-fault.ts'
import { jsonLine } from './json-line.ts'

export type Audit = Awaited<ReturnType<typeof openAudit>>

interface AuditEntry {
  action: string
  message_id?: string | undefined
  new_message_id?: string
  image_key?: string | undefined
  reason_code?: string | undefined
  replay_count?: number
  [detail: string]: unknown
}

/** Who did what, one line of JSON each, appended to `file`. Throws UsageError when that cannot be written. */
export async function openAudit(file: string) {
  const handle = await mkdir(dirname(file), { recursive: true })
    .then(() => open(file, 'a'))
    .catch((cause: unknown) => {
      throw new UsageError(fileFault(file, 'the audit trail cannot be written', cause), { cause })
    })
  const user = userName()
  return {
    /** Throws AuditError. */
    async write(entry: AuditEntry): Promise<void> {
      await handle
        .appendFile(`${jsonLine({ time: new Date().toISOString(), user, ...entry })}\n`)
        .catch((cause: unknown) => {
          throw new AuditError(fileFault(file, 'the audit trail cannot be written', cause), { cause })
        })
    },

    close: () => handle.close(),
  }
}

export function auditOf(action: string, { id, imageKeys, reasonCode }: DeadLetter): AuditEntry {
  return { action, message_id: id, image_key: imageKeys[0], reason_code: reasonCode }
}

function userName(): string {
  try {
    return userInfo().username
  } catch {
    // A container's user need not have a name.
    return String(process.getuid?.() ?? 'unknown')
  }
}
