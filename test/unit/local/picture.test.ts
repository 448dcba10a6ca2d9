import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { UsageError } from '#shared/command-line.ts'
import { choosePictures } from '../../../services/local/picture.ts'

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'promenade-test-'))
  try {
    await run(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

test('the key is the name of the file, numbered when it was met before', async () => {
  await withFolder(async (folder) => {
    await mkdir(join(folder, 'other'))
    const paths = ['a.jpg', 'other/a.jpg', 'a-2.jpg', 'a.jpg', 'other/한 국+%.jpg'].map((name) => join(folder, name))
    for (const path of paths) await writeFile(path, 'x')
    const pictures = await choosePictures(paths)
    assert.deepEqual(
      pictures.map(({ key }) => key),
      ['uploads/a.jpg', 'uploads/a-2.jpg', 'uploads/a-2-2.jpg', 'uploads/a-3.jpg', 'uploads/한 국+%.jpg'],
    )
    assert.equal(pictures[1]!.wavPath, join(folder, 'other/a.wav'))
  })
})

test('the music goes to the folder named, which is made', async () => {
  await withFolder(async (folder) => {
    const path = join(folder, 'a.b.jpg')
    await writeFile(path, 'x')
    const [picture] = await choosePictures([path], join(folder, 'new/out'))
    assert.equal(picture!.wavPath, join(folder, 'new/out/a.b.wav'))
    assert.deepEqual(await readdir(join(folder, 'new/out')), [])
  })
})

test('what cannot be used is named in one line', async () => {
  await withFolder(async (folder) => {
    const file = join(folder, 'a.jpg')
    await writeFile(file, 'x')
    const refused = async (paths: string[], out: string | undefined, message: RegExp) =>
      assert.rejects(choosePictures(paths, out), (error: Error) => {
        assert.ok(error instanceof UsageError)
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /\n/)
        return true
      })
    await refused([join(folder, 'none.jpg')], undefined, /none\.jpg: .*\(no such file or folder\)$/)
    await refused([join(folder, 'a\n\x1b[2J.jpg')], undefined, /a\?\?\[2J\.jpg: /)
    await refused([folder], undefined, /not a file$/)
    await refused([join(file, 'b.jpg')], undefined, /\(what should be a folder is a file\)$/)
    await symlink('loop.jpg', join(folder, 'loop.jpg'))
    await refused([join(folder, 'loop.jpg')], undefined, /\(a loop of symbolic links\)$/)
    await refused([file], join(folder, 'x'.repeat(300)), /the folder cannot be created \(the name is too long\)$/)
    await refused([file], file, /the folder cannot be created \(there is something else of this name\)$/)
    await refused([file], '/proc/new/out', /the folder cannot be created \(no such file or folder\)$/)
  })
})
