import assert from 'node:assert/strict'
import { mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { UsageError } from '#shared/command-line.ts'
import { lockState } from '../../../services/local/state-lock.ts'

test('a state folder has one holder at a time, by whatever name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'promenade-test-'))
  try {
    const dir = join(folder, 'new/state')
    const lock = await lockState(dir)
    await symlink(dir, join(folder, 'alias'))
    for (const name of [dir, join(folder, 'alias')]) {
      await assert.rejects(lockState(name), (error: Error) => {
        assert.ok(error instanceof UsageError)
        assert.match(error.message, /^[^\n]*: another npm run dev has its state there[^\n]*$/)
        return true
      })
    }
    lock.close()
    const next = await lockState(dir)
    next.close()
    await assert.rejects(lockState('/dev/null'), UsageError)
  } finally {
    await rm(folder, { recursive: true })
  }
})
