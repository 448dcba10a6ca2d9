import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SQSClient } from '@aws-sdk/client-sqs'
import { createQueueCounter } from '#shared/aws/queue.ts'

test('a count that the server does not give is an outage, and no count', async () => {
  const answering = (Attributes: object) => ({ send: async () => ({ Attributes }) }) as unknown as SQSClient
  const count = (attributes: object) =>
    createQueueCounter({ sqs: answering(attributes), queueUrl: 'http://sqs.example/1/uploads', timeoutMs: 1_000 })()
  const whole = { ApproximateNumberOfMessages: '3', ApproximateNumberOfMessagesNotVisible: '0' }
  assert.deepEqual(await count(whole), { visible: 3, inFlight: 0 })
  await assert.rejects(count({ ApproximateNumberOfMessages: '3' }), {
    code: 'STORAGE_UNAVAILABLE',
    message: /counting messages failed: .*no ApproximateNumberOfMessagesNotVisible/,
  })
})
