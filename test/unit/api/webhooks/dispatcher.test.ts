import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetryableFailure } from '#shared/failure.ts'
import { createWebhooks } from '../../../../services/api/webhooks/dispatcher.ts'

test('a queue that cannot be worked off is an error of who works on a schedule, and a warning of who goes on', async () => {
  const away = new RetryableFailure('DATABASE_UNAVAILABLE', 'away')
  const reject = () => Promise.reject(away)
  const queue = {
    fanOut: reject,
    discard: reject,
    claim: reject,
    settle: reject,
    giveBack: reject,
    retryLater: reject,
    expire: reject,
  }
  const warnings: string[] = []
  const logger = { debug() {}, error() {}, warn: (_: object, message: string) => warnings.push(message) }
  const send = () => Promise.reject(new Error('nothing is to be sent'))
  const create = () => createWebhooks({ queue, endpoints: [], send, logger: logger as never })
  await assert.rejects(create().runOnce({ until: new AbortController().signal }), away)
  const webhooks = create()
  webhooks.start()
  await webhooks.close()
  assert.deepEqual(warnings, ['webhooks wait', 'webhooks wait'])
})
