import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'

test('the committed migrations are those of the schema', async () => {
  const scratch = await mkdtemp(join(tmpdir(), 'promenade-migrations-'))
  try {
    await cp('shared/db/migrations', scratch, { recursive: true })
    const before = await readdir(scratch)
    const { stdout } = await promisify(execFile)(
      process.execPath,
      [
        resolve('node_modules/drizzle-kit/bin.cjs'),
        'generate',
        '--dialect=mysql',
        '--schema=./shared/db/schema.ts',
        // It puts ./ before the folder, whatever that is.
        `--out=${relative('.', scratch)}`,
      ],
      { timeout: 60_000 },
    )
    assert.deepEqual(await readdir(scratch), before, `run npm run db:generate and commit what it writes: ${stdout}`)
    assert.match(stdout, /No schema changes/)
  } finally {
    await rm(scratch, { recursive: true })
  }
})

test('a migration makes the indexes of a table before it drops others: the release before goes on meanwhile', async () => {
  const folder = 'shared/db/migrations'
  const dropped = new Set<string>()
  for (const name of (await readdir(folder)).filter((each) => each.endsWith('.sql'))) {
    const text = await readFile(join(folder, name), 'utf8')
    for (const [, kind, table] of text.matchAll(/^(CREATE|DROP) (?:UNIQUE )?INDEX `\w+` ON `(\w+)`/gm)) {
      if (kind === 'DROP') dropped.add(`${name} ${table}`)
      else assert.ok(!dropped.has(`${name} ${table}`), `${name} ${table}`)
    }
  }
  assert.ok(dropped.size > 0)
})
