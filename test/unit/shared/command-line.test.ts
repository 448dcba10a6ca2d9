import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type FileHandle, open } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const argsOf = (action: string) => {
  const script = `
    const { Command } = await import('commander')
    const { runCommandLine } = await import('${new URL('../../../shared/command-line.ts', import.meta.url)}')
    await runCommandLine(new Command('test').action(() => ${action}))`
  return ['--input-type=module', '--eval', script]
}
const args = argsOf("setInterval(() => process.stdout.write('a line'), 1)")

test('a command whose reader has gone ends without a word, as by SIGPIPE', async () => {
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  const [errors, [status]] = await Promise.all([text(child.stderr), once(child, 'exit')])
  assert.deepEqual({ errors, status }, { errors: '', status: 141 })
})

test('output that cannot be written is told in one line, with exit status 1', async () => {
  let unwritable: FileHandle | undefined
  try {
    unwritable = await open(fileURLToPath(import.meta.url), 'r')
    const child = spawn(process.execPath, args, { stdio: ['ignore', unwritable.fd, 'pipe'] })
    const [errors, [status]] = await Promise.all([text(child.stderr!), once(child, 'exit')])
    assert.match(errors, /^standard output cannot be written: EBADF.*\n$/)
    assert.equal(status, 1)
  } finally {
    await unwritable?.close()
  }
})

test('what went wrong is told without what would move the cursor', async () => {
  for (const [kind, told] of [
    ['Error', /^tensor \?\[2J\nline two\n$/],
    ['TypeError', /^TypeError: tensor \?\[2J\nline two\n {4}at /],
  ] as const) {
    const child = spawn(process.execPath, argsOf(`{ throw new ${kind}('tensor \\x1b[2J\\nline two') }`))
    const [errors, [status]] = await Promise.all([text(child.stderr), once(child, 'exit')])
    assert.match(errors, told)
    assert.equal(status, 1)
  }
})
