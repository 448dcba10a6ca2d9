import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ChangeMessageVisibilityCommand, type Message, ReceiveMessageCommand } from '@aws-sdk/client-sqs'
import type { FauxqsServer } from 'fauxqs'
import { createSqsClient } from '#shared/aws/clients.ts'
import { region, startEmulator } from '../../services/local/emulator.ts'

const dlqMain = fileURLToPath(new URL('../../services/dlq/main.ts', import.meta.url))
const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }

let dir: string
let emulator: FauxqsServer

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'promenade-emulator-test-'))
  emulator = await startEmulator({ dir })
})

after(async () => {
  await emulator?.stop()
  await rm(dir, { recursive: true })
})

test('where the state is kept, who looks at dead letters leaves them there', async () => {
  const env = {
    AWS_REGION: region,
    AWS_ENDPOINT_URL: emulator.address,
    AWS_ACCESS_KEY_ID: credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
    QUEUE_URL: emulator.createQueue('uploads').queueUrl,
    DLQ_URL: emulator.createQueue('uploads-dlq').queueUrl,
  }
  const letters = [1, 2, 3].map((each) => emulator.sendMessage('uploads-dlq', `letter ${each}`).messageId)
  const dlq = (...args: string[]) => promisify(execFile)(process.execPath, [dlqMain, ...args], { env, timeout: 60_000 })
  for (const _ of [1, 2]) {
    const { stdout } = await dlq('list', '--json')
    const listed = stdout.trim().split('\n')
    assert.deepEqual(listed.map((line) => JSON.parse(line).message_id).toSorted(), letters.toSorted())
  }
  await dlq('replay', '--all', '--yes', '--audit', join(dir, 'audit.jsonl'))
  assert.equal(emulator.inspectQueue('uploads-dlq')!.messages.ready.length, 0)
  assert.equal(emulator.inspectQueue('uploads')!.messages.ready.length, 3)
})

test('where the state is kept, a message that is given back comes at once to who waits for it', async () => {
  const { queueUrl: QueueUrl } = emulator.createQueue('given-back')
  const sqs = createSqsClient({ region, endpoint: emulator.address, credentials })
  const receive = async (WaitTimeSeconds: number) => {
    const { Messages } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl,
        WaitTimeSeconds,
        MessageSystemAttributeNames: ['ApproximateReceiveCount'],
      }),
    )
    return Messages![0]!
  }
  const giveBack = ({ ReceiptHandle }: Message) =>
    sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl, ReceiptHandle, VisibilityTimeout: 0 }))
  try {
    const { messageId } = emulator.sendMessage('given-back', 'message')
    const first = await receive(0)
    const waiting = receive(10)
    await giveBack(first)
    const second = await waiting
    assert.deepEqual([second.MessageId, second.Attributes!.ApproximateReceiveCount], [messageId, '2'])
    await giveBack(second)
    await emulator.stop()
    emulator = await startEmulator({ dir })
    const [kept] = emulator.inspectQueue('given-back')!.messages.ready
    assert.equal(kept!.messageId, messageId)
  } finally {
    sqs.destroy()
  }
})
