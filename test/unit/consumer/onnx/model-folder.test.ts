import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { MusicManifest } from '#shared/model/manifest.ts'
import { readModel } from '../../../../services/consumer/onnx/model-folder.ts'

test('a manifest that is missing, cannot be read, is cut off or of another format is told as what it is', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'promenade-model-'))
  t.after(() => rm(dir, { recursive: true }))
  const manifest = (name: string) => join(dir, name, 'manifest.json')
  await mkdir(manifest('folder'), { recursive: true })
  for (const [name, text] of Object.entries({ cut: '{', old: '{"format":3}', nothing: 'null' })) {
    await mkdir(join(dir, name))
    await writeFile(manifest(name), text)
  }
  for (const [name, fault] of [
    ['none', `model none is not in ${dir}; run: npm run models`],
    ['folder', `${manifest('folder')} cannot be read: EISDIR`],
    ['cut', `${manifest('cut')} cannot be read: Expected property name`],
    ['old', 'model old has format 3, expected 4; run: '],
    ['nothing', 'model nothing has format undefined, expected 4; run: '],
  ] as const) {
    await assert.rejects(readModel(dir, name, MusicManifest), ({ message }: Error) => {
      assert.ok(message.startsWith(fault), message)
      return true
    })
  }
})
