/** `npm run check`: types, lint and format. Prints what the failing ones say. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { Command } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'

const checks = {
  'types (tsc)': ['tsc', '--project', '.'],
  'lint and format (biome)': ['biome', 'check', '.'],
}

const command = new Command('npm run check').description('Checks types, lint and format.').action(check)

await runCommandLine(command)

async function check(): Promise<void> {
  const failures = await Promise.all(
    Object.entries(checks).map(async ([name, [command, ...args]]) => {
      const child = spawn(`node_modules/.bin/${command}`, args, { stdio: ['ignore', 'pipe', 'pipe'] })
      const [out, err, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
      if (status === 0) return []
      console.error(`${out}${err}\n${name}: failed`)
      return [name]
    }),
  )
  if (failures.flat().length) process.exitCode = 1
  else console.error(`${Object.keys(checks).join(', ')}: as they should be`)
}
