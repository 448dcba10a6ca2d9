import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { settings } from '#shared/contract/setting.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The lines of the first shell block: what a newcomer types. */
async function firstCommands(): Promise<string[]> {
  const readme = await readFile(`${root}/README.md`, 'utf8')
  const block = readme.match(/^```sh\n(.*?)^```$/ms)
  assert.ok(block, 'README.md has a block of shell commands')
  return block[1]!
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter(Boolean)
}

/** Without what this test's own runner tells its children, and with a path that finds npm. */
async function shell(command: string): Promise<{ stdout: string; stderr: string }> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  return await promisify(execFile)('sh', ['-c', command], { cwd: root, env, maxBuffer: 2 ** 24, timeout: 300_000 })
}

test('the README begins with the two commands', async () => {
  assert.deepEqual(await firstCommands(), ['npm run demo', 'npm test'])
})

test('every setting is in the README', async () => {
  const readme = await readFile(`${root}/README.md`, 'utf8')
  assert.deepEqual(
    Object.keys(settings).filter((name) => !readme.includes(`\`${name}\``)),
    [],
  )
})

test('npm run demo, as it stands, gives the pictures it draws their music', async () => {
  const { stdout, stderr } = await shell('npm run demo')
  const results = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.ok(results.length >= 2, stdout)
  for (const { status, wav } of results)
    assert.deepEqual({ status, wav: typeof wav }, { status: 'succeeded', wav: 'string' })
  assert.match(stderr, /no picture was named: drawing a few into /)
})

test('npm test, told to run one file lest it run this one, ends with the count', async () => {
  const { stdout } = await shell('npm test -- test/unit/consumer/musicgen/random.test.ts')
  assert.match(stdout.trim().split('\n').at(-1)!, /^tests \d+, pass \d+, fail 0$/)
})
