import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DatabaseRefusal } from '#shared/db/database-error.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { PermanentFailure } from '#shared/failure.ts'

const upload = {
  bucket: 'pictures',
  key: 'uploads/a.jpg',
  version: 'etag',
  etag: 'etag',
  size: 1,
  sequencer: '0A',
  eventTime: '2026-01-01T00:00:00.000Z',
}

for (const [name, sqlState, errno, isOfMessage] of [
  ['data out of range', '22003', 1264, true],
  ['an error of the server itself', 'HY000', 1105, false],
] as const) {
  test(`${name} is ${isOfMessage ? 'a' : 'no'} fault of the message`, async () => {
    const refusal = new DatabaseRefusal('no', { cause: Object.assign(new Error('said'), { errno, sqlState }) })
    const run = () => Promise.reject(refusal)
    const jobs = createJobs({ database: { run, ping: run, close: async () => {} } })
    await assert.rejects(jobs.receive(upload), (error) => error instanceof PermanentFailure === isOfMessage)
  })
}
