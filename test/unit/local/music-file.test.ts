import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { musicPath, saveMusic } from '../../../services/local/music-file.ts'

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'promenade-test-'))
  try {
    await run(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('music never overwrites another file, and the same music is written once', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'a.wav')
    assert.equal(await saveMusic(path, Buffer.from('one')), path)
    assert.equal(await saveMusic(path, Buffer.from('one')), path)
    assert.equal(await saveMusic(path, Buffer.from('two')), join(folder, 'a-2.wav'))
    assert.equal(await saveMusic(path, Buffer.from('two')), join(folder, 'a-2.wav'))
    assert.deepEqual(await readdir(folder), ['a-2.wav', 'a.wav'])
    assert.equal(await readFile(path, 'utf8'), 'one')
  })
})

test('a name as long as a name may be leaves room for the number, and is cut at a whole character', async () => {
  await withFolder(async (folder) => {
    const path = musicPath(`/pictures/${'그'.repeat(83)}👩‍🎨.jpg`, folder)
    assert.equal(basename(path), `${'그'.repeat(82)}.wav`)
    assert.equal(await saveMusic(path, Buffer.from('one')), path)
    assert.equal(basename(await saveMusic(path, Buffer.from('two'))), `${'그'.repeat(82)}-2.wav`)
    assert.equal(musicPath('a.b.jpg', folder), join(folder, 'a.b.wav'))
  })
})

test('a name that is taken by what cannot be read is left alone', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'a.wav')
    await symlink('nowhere', path)
    await mkdir(join(folder, 'a-2.wav'))
    assert.equal(await saveMusic(path, Buffer.from('one')), join(folder, 'a-3.wav'))
  })
})

test('music that cannot be written to its end leaves nothing behind', async () => {
  await withFolder(async (folder) => {
    const source = new URL('../../../services/local/music-file.ts', import.meta.url).href
    const script = `
      const { saveMusic } = await import('${source}')
      await saveMusic(process.argv[1], Buffer.alloc(100_000)).catch(({ code }) => console.log(code))`
    // As good as a full disk: no file may have more than a few blocks.
    const limited = ['-c', 'ulimit -f 8 && exec "$0" "$@"', process.execPath]
    const args = [...limited, '--input-type=module', '--eval', script, join(folder, 'a.wav')]
    const { stdout } = await promisify(execFile)('sh', args)
    assert.equal(stdout, 'EFBIG\n')
    assert.deepEqual(await readdir(folder), [])
  })
})
