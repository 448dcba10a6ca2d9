import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { region, startEmulator } from '../../services/local/emulator.ts'

const entry = fileURLToPath(new URL('../../services/dlq/main.ts', import.meta.url))

test('where QUEUE_URL and DLQ_URL are swapped, nothing is done', async (t) => {
  const emulator = await startEmulator()
  t.after(() => emulator.stop())
  const dlq = emulator.createQueue('dlq')
  const redrive = { deadLetterTargetArn: dlq.queueArn, maxReceiveCount: 50 }
  const queue = emulator.createQueue('uploads', { attributes: { RedrivePolicy: JSON.stringify(redrive) } })
  emulator.sendMessage('uploads', 'a live event')
  const run = async (QUEUE_URL: string, DLQ_URL: string, ...args: string[]) => {
    const child = spawn(process.execPath, [entry, ...args], {
      env: {
        AWS_REGION: region,
        AWS_ENDPOINT_URL: emulator.address,
        AWS_ACCESS_KEY_ID: 'test',
        AWS_SECRET_ACCESS_KEY: 'test',
        QUEUE_URL,
        DLQ_URL,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 60_000,
    })
    const [stderr] = await Promise.all([text(child.stderr), once(child, 'close')])
    return { status: child.exitCode, stderr }
  }

  assert.equal((await run(queue.queueUrl, dlq.queueUrl, 'list')).status, 0)
  for (const args of [['purge', '--all', '--yes', '--audit', '/dev/null'], ['list']]) {
    const { status, stderr } = await run(dlq.queueUrl, queue.queueUrl, ...args)
    assert.equal(status, 2, stderr)
    assert.match(stderr, /^DLQ_URL names a queue that has a dead-letter queue itself: .*\n$/)
  }
  const { ready, inflight } = emulator.inspectQueue('uploads')!.messages
  assert.deepEqual([ready.length, inflight.length], [1, 0])
})
