import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
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

const bootstrap = (...args: string[]) => bootstrapIn('.', ...args)

async function bootstrapIn(checkout: string, ...args: string[]) {
  const file = join(checkout, 'services/local/bootstrap.js')
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
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

test('packages that lie elsewhere are not installed over', async () => {
  const checkout = join(folder, 'checkout')
  const elsewhere = join(folder, 'elsewhere')
  await cp('services/local/bootstrap.js', join(checkout, 'services/local/bootstrap.js'))
  await writeFile(join(checkout, 'package.json'), '{"name":"checkout","version":"1.0.0","type":"module"}')
  const packages = { '': {}, 'node_modules/wanted': { version: '1.0.0' } }
  await writeFile(join(checkout, 'package-lock.json'), JSON.stringify({ lockfileVersion: 3, packages }))
  await mkdir(elsewhere)
  await writeFile(join(elsewhere, 'kept.txt'), '')
  await symlink(elsewhere, join(checkout, 'node_modules'))
  const { errors, status } = await bootstrapIn(checkout, entry)
  assert.match(errors, /^promenade: .*node_modules is a symbolic link.*\n$/)
  assert.equal(status, 1)
  assert.deepEqual(await readdir(elsewhere), ['kept.txt'])
})

test('every command of ours begins with it, and so under the Node that the system has', async () => {
  const { scripts } = JSON.parse(await readFile('package.json', 'utf8'))
  for (const [name, script] of Object.entries<string>(scripts)) {
    if (script.endsWith('.ts')) assert.match(script, /(^exec node services\/local\/bootstrap\.js |drizzle-kit)/, name)
  }
})
