import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatBody } from './letter-text.ts'

/** Has the user edit the body, laid out where it is JSON, by a command such as $EDITOR; what is left alone stays as it was. */
export async function editBody(body: string, editor: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'promenade-dlq-'))
  try {
    const file = join(folder, 'body.json')
    const shown = formatBody(body)
    await writeFile(file, shown)
    // As git does: the command may have arguments.
    const child = spawn('sh', ['-c', `${editor} "$1"`, 'sh', file], { stdio: 'inherit' })
    const [status, signal] = await once(child, 'exit')
    if (status !== 0) throw new Error(`the editor ended with ${status ?? signal}: nothing was sent`)
    const edited = await readFile(file, 'utf8')
    return edited.trim() === shown.trim() ? body : edited.trim()
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
