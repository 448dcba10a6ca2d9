import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Message } from '@aws-sdk/client-sqs'
import { pino } from 'pino'
import type { DeadLetterReason } from '#shared/aws/queue.ts'
import type { Outcome } from '../../../../services/consumer/pipeline/process-image.ts'
import { createMessageProcessor } from '../../../../services/consumer/pipeline/process-message.ts'

test('a message is acknowledged when its picture is settled', async () => {
  const { handle, processed, waits } = build(['settled'])
  assert.equal(await handle(announcing('uploads/a.jpg')), true)
  assert.deepEqual(processed, ['uploads/a.jpg'])
  assert.deepEqual(waits, [])
})

test('every picture hears of the failure that the message names', async () => {
  const named = (StringValue: string) => ({ failure_id: { DataType: 'String', StringValue } })
  const { handle, failureIds } = build(Array(6).fill('settled'))
  const message = announcing('uploads/1', 'uploads/2')
  for (const attributes of [named('f-1'), named('한'), {}]) await handle({ ...message, MessageAttributes: attributes })
  assert.deepEqual(failureIds, ['f-1', 'f-1', undefined, undefined, undefined, undefined])
})

test('a message for which it is too early is hidden for that time', async () => {
  const { handle, waits } = build([{ retryAfterSeconds: 7 }])
  assert.equal(await handle(announcing('uploads/a.jpg')), false)
  assert.deepEqual(waits, [7])
})

test('a message whose picture another has is left as it is', async () => {
  const { handle, waits } = build(['left'])
  assert.equal(await handle(announcing('uploads/a.jpg')), false)
  assert.deepEqual(waits, [])
})

test('of several pictures every one is processed, and the message kept until all are settled', async () => {
  const { handle, processed, waits } = build(['settled', { retryAfterSeconds: 7 }, { retryAfterSeconds: 9 }, 'settled'])
  const keys = ['uploads/1', 'uploads/2', 'uploads/3', 'uploads/4']
  assert.equal(await handle(announcing(...keys)), false)
  assert.deepEqual(processed, keys)
  assert.deepEqual(waits, [60, 60, 60, 9])
})

test('between pictures the message is given up when it is no longer ours', async () => {
  const { handle, processed } = build(['settled', 'settled'], { ours: false })
  assert.equal(await handle(announcing('uploads/1', 'uploads/2')), false)
  assert.deepEqual(processed, ['uploads/1'])
})

test('a stop between pictures gives the message back at once', async () => {
  const stop = new AbortController()
  const { handle, processed, waits } = build(['settled', 'settled'], { onProcess: () => stop.abort() })
  assert.equal(await handle(announcing('uploads/1', 'uploads/2'), stop.signal), false)
  assert.deepEqual(processed, ['uploads/1'])
  assert.deepEqual(waits, [0])
})

test('our own music and other keys outside uploads/ are ignored', async () => {
  const { handle, processed, deadLetters } = build([])
  assert.equal(await handle(announcing('generated/a.jpg/1.wav', 'a.jpg')), true)
  assert.deepEqual([processed, deadLetters], [[], []])
})

test('an unreadable message is dead-lettered with its reason and acknowledged', async () => {
  const { handle, deadLetters } = build([])
  assert.equal(await handle({ MessageId: 'm', Body: 'hello' }), true)
  assert.deepEqual(deadLetters, [{ reasonCode: 'MESSAGE_UNREADABLE', reason: 'the body is not JSON', attempts: 1 }])
})

test('a picture in another bucket is dead-lettered, and the others are processed', async () => {
  const { handle, processed, deadLetters } = build(['settled'])
  const body = JSON.stringify({ Records: [record('uploads/1', 'foreign'), record('uploads/2')] })
  assert.equal(await handle({ MessageId: 'm', Body: body }), true)
  assert.deepEqual(processed, ['uploads/2'])
  assert.deepEqual(
    deadLetters.map(({ reasonCode, imageKey }) => [reasonCode, imageKey]),
    [['MESSAGE_FOREIGN_BUCKET', 'uploads/1']],
  )
})

test('a message that names foreign pictures is dead-lettered once, when all else is settled', async () => {
  const { handle, waits, deadLetters } = build([{ retryAfterSeconds: 7 }, 'left', 'settled'])
  const records = [record('uploads/1', 'foreign'), record('uploads/2'), record('uploads/3', 'foreign')]
  const message = { MessageId: 'm', Body: JSON.stringify({ Records: records }) }
  assert.equal(await handle(message), false)
  assert.equal(await handle(message), false)
  assert.deepEqual(deadLetters, [])
  assert.equal(await handle(message), true)
  assert.deepEqual(
    deadLetters.map(({ reasonCode, imageKey }) => [reasonCode, imageKey]),
    [['MESSAGE_FOREIGN_BUCKET', 'uploads/1']],
  )
  assert.deepEqual(
    waits.filter((seconds) => seconds !== 60),
    [7],
  )
})

test('what the pipeline refuses is dead-lettered and acknowledged', async () => {
  const refused = { reasonCode: 'MESSAGE_UNREADABLE', reason: 'too long', attempts: 1 } as const
  const { handle, deadLetters } = build([{ refused }])
  assert.equal(await handle(announcing('uploads/a.jpg')), true)
  assert.deepEqual(deadLetters, [refused])
})

for (const key of ['uploads/', 'uploads/holiday/', 'uploads/../']) {
  test(`the folder ${key} of the console is ignored`, async () => {
    const { handle, processed, deadLetters } = build([])
    const body = JSON.stringify({ Records: [record(key, 'pictures', 0)] })
    assert.equal(await handle({ MessageId: 'm', Body: body }), true)
    assert.deepEqual([processed, deadLetters], [[], []])
  })
}

for (const key of ['uploads/../a.jpg', 'uploads/./a.jpg', 'uploads/a%00.jpg', 'uploads/']) {
  test(`the key ${key}, for which nobody could ask, is refused`, async () => {
    const { handle, processed, deadLetters } = build([])
    assert.equal(await handle(announcing(key)), true)
    assert.deepEqual([processed, deadLetters.map(({ reasonCode }) => reasonCode)], [[], ['MESSAGE_UNREADABLE']])
    assert.match(deadLetters[0]!.reason, /^The image key /)
  })
}

test('what cannot be dead-lettered is not acknowledged', async () => {
  const { handle, waits } = build([], { deadLetterError: new Error('away') })
  const attributes = { ApproximateReceiveCount: '2' }
  assert.equal(await handle({ MessageId: 'm', Body: 'hello', Attributes: attributes }), false)
  assert.deepEqual(waits, [60])
})

test('a test event is acknowledged', async () => {
  const { handle } = build([])
  assert.equal(await handle({ MessageId: 'm', Body: '{"Service":"Amazon S3","Event":"s3:TestEvent"}' }), true)
})

test('a message is heard of when it is received, with its age and its traces, and when it is refused', async () => {
  const { handle, received, refusedFor, traceHeaders } = build(['settled'])
  const sent = { SentTimestamp: '1767323045000', AWSTraceHeader: 'Root=1' }
  const own = { traceparent: { DataType: 'String', StringValue: '00-1' } }
  await handle({ ...announcing('uploads/a.jpg'), Attributes: sent, MessageAttributes: own })
  await handle({ MessageId: 'm', Body: 'hello' })
  assert.deepEqual(received, [1_767_323_045_000, undefined])
  assert.deepEqual(refusedFor, ['MESSAGE_UNREADABLE'])
  assert.deepEqual(traceHeaders, ['00-1', 'Root=1'])
})

function build(outcomes: Outcome[], options: { ours?: boolean; onProcess?: () => void; deadLetterError?: Error } = {}) {
  const processed: string[] = []
  const failureIds: (string | undefined)[] = []
  const waits: number[] = []
  const deadLetters: DeadLetterReason[] = []
  const received: (number | undefined)[] = []
  const refusedFor: string[] = []
  const traceHeaders: string[] = []
  const { processMessage } = createMessageProcessor({
    queue: {
      changeVisibility: async (_message, seconds) => {
        waits.push(seconds)
        return options.ours ?? true
      },
      deadLetter: async (_message, reason) => {
        if (options.deadLetterError) throw options.deadLetterError
        deadLetters.push(reason)
      },
    },
    pipeline: {
      processImage: async ({ assignment, delivery }) => {
        processed.push(assignment.key)
        failureIds.push(delivery.failureId)
        traceHeaders.push(...delivery.traceHeaders)
        options.onProcess?.()
        return outcomes[processed.length - 1]!
      },
    },
    bucket: 'pictures',
    leaseSeconds: 60,
    observer: {
      messageReceived: ({ sentAt }) => received.push(sentAt),
      messageRefused: (code) => refusedFor.push(code),
    },
    logger: pino({ enabled: false }),
    random: () => 1,
  })
  return {
    processed,
    failureIds,
    waits,
    deadLetters,
    received,
    refusedFor,
    traceHeaders,
    handle: (message: Message, signal = new AbortController().signal) => processMessage(message, signal),
  }
}

function announcing(...keys: string[]): Message {
  return { MessageId: 'm', Body: JSON.stringify({ Records: keys.map((key) => record(key)) }) }
}

function record(key: string, bucket = 'pictures', size = 1) {
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    eventName: 'ObjectCreated:Put',
    eventTime: '2026-01-02T03:04:05.678Z',
    s3: { bucket: { name: bucket }, object: { key, size, eTag: 'e1', sequencer: '0A' } },
  }
}
