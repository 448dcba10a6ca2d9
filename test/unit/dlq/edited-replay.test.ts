import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { replay } from '../../../services/dlq/replay.ts'
import { createSession } from '../../../services/dlq/session.ts'
import { createFakeDlq, letterOf } from '../../fake-dlq.ts'

const mended = bodyOf('uploads/mended.jpg')
let folder: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-replay-test-'))
})

after(() => rm(folder, { recursive: true }))

test('a message with another body is told, and recorded, by the picture of that body, with the one before', async () => {
  const bodyFile = join(folder, 'body.json')
  await writeFile(bodyFile, mended)
  for (const way of [{ bodyFile }, { edit: async () => mended }]) {
    const { printed, trail, sent } = await replayOf(way)
    assert.deepEqual(sent, [mended])
    assert.deepEqual(printed[0].image_keys, ['uploads/mended.jpg'])
    const { image_key, edited, old_image_key } = trail[0]
    assert.deepEqual([image_key, edited, old_image_key], ['uploads/mended.jpg', true, 'uploads/typo.jpg'])
  }
  const { printed, sent } = await replayOf({ bodyFile, yes: undefined })
  assert.deepEqual([sent, printed[0].image_keys], [[], ['uploads/mended.jpg']], 'a dry run tells the same')
})

test('a message whose body the editor has left as it was is not recorded as edited', async () => {
  const { printed, trail } = await replayOf({ edit: async (body) => body })
  assert.deepEqual(printed[0].image_keys, ['uploads/typo.jpg'])
  assert.deepEqual([trail[0].image_key, 'edited' in trail[0]], ['uploads/typo.jpg', false])
})

/** Of one dead letter, about uploads/typo.jpg. */
async function replayOf(options: Partial<Parameters<typeof replay>[1]>) {
  const letter = { ...letterOf('1', { image_key: 'uploads/typo.jpg' }), Body: bodyOf('uploads/typo.jpg') }
  const { queue, sent } = createFakeDlq([letter])
  const printed: string[] = []
  const session = createSession({
    queue,
    json: true,
    signal: new AbortController().signal,
    print: (line) => printed.push(line),
    say: () => {},
    complain: assert.fail,
  })
  const audit = join(folder, 'audit.jsonl')
  await rm(audit, { force: true })
  await replay(session, { rate: 10, maxReplays: 3, yes: true, audit, ...options })
  const lines = await readFile(audit, 'utf8').catch(() => '')
  return { sent, printed: printed.map(parse), trail: lines.split('\n').filter(Boolean).map(parse) }
}

// biome-ignore lint/suspicious/noExplicitAny: as programs read it
function parse(line: string): any {
  return JSON.parse(line)
}

function bodyOf(key: string): string {
  const record = {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    eventName: 'ObjectCreated:Put',
    eventTime: '2026-01-02T03:04:05.678Z',
    s3: { bucket: { name: 'pictures' }, object: { key, size: 1, eTag: 'e1', sequencer: '0A' } },
  }
  return JSON.stringify({ Records: [record] })
}
