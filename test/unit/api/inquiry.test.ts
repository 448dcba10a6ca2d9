import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createInquiry } from '../../../services/api/inquiry.ts'
import { bucket } from '../../job.ts'

const key = 'uploads/a.jpg'

test('on AWS Lambda nobody waits for longer than API Gateway does, and a stream ends with its first answer', async () => {
  const asked: number[] = []
  const inquiry = createInquiry({
    reader: { find: async () => undefined, remembered: () => undefined },
    objects: { head: async () => undefined },
    watcher: {
      until: async (_wanted, _isEnough, { timeoutMs }) => void asked.push(timeoutMs),
      watch: () => assert.fail('nobody is left to be told'),
    },
    bucket,
    onLambda: true,
  })
  const { signal } = new AbortController()
  for (const timeoutMs of [60_000, 10_000])
    await inquiry.wait({ key }, () => true, { caller: 'an app', signal, timeoutMs })
  assert.deepEqual(asked, [25_000, 10_000])
  await new Promise<void>((onClose) => inquiry.follow({ key }, () => {}, { caller: 'an app', onClose }))
})
