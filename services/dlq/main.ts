import { Command } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { addReconcile } from './reconcile.ts'

const interrupt = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => interrupt.abort(new Error(`${signal}: the same command goes on from here`)))
}

const program = new Command('npm run dlq --').description('What became of messages and pictures that were lost.')
addReconcile(program, {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interrupt.signal,
  setExitCode: (status) => {
    process.exitCode = status
  },
})

await runCommandLine(program)
