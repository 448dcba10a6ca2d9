import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, test } from 'node:test'

let folder: string
let entry: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade test '))
  entry = join(folder, 'entry.ts')
  await writeFile(
    entry,
    `const args: string[] = process.argv.slice(2)
console.log(JSON.stringify({ args, file: process.argv[1], major: Number.parseInt(process.versions.node) }))
process.exitCode = args.length`,
  )
})

after(async () => {
  await rm(folder, { recursive: true })
})

async function bootstrap(...args: string[]) {
  const child = spawn(process.execPath, ['services/local/bootstrap.js', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, errors, [status]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { out, errors, status }
}

test('where all is installed it says nothing and hands over: arguments, output, exit status', async () => {
  const { out, errors, status } = await bootstrap(entry, 'a b', '--c')
  assert.deepEqual(JSON.parse(out), { args: ['a b', '--c'], file: entry, major: 24 })
  assert.deepEqual({ errors, status }, { errors: '', status: 2 })
})

test('without an entry it says how it is used, on standard error', async () => {
  const { out, errors, status } = await bootstrap()
  assert.match(errors, /^promenade: usage: .*\n$/)
  assert.deepEqual({ out, status }, { out: '', status: 1 })
})

test('every command of ours begins with it, and so under the Node that the system has', async () => {
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8'))
  for (const [name, script] of Object.entries<string>(scripts)) {
    if (script.endsWith('.ts')) assert.match(script, /(^exec node services\/local\/bootstrap\.js |drizzle-kit)/, name)
  }
})
