import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jobId } from '#shared/contract/key.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { build, failWith, outageOf, upload } from './pipeline-on-fakes.ts'

/** Of the test that runs. */
let outage: ReturnType<typeof outageOf>

for (const [name, options, outcome, code, stages] of [
  ['succeeds', {}, 'succeeded', undefined, ['claim', 'fetch', 'classify', 'generate', 'store', 'record']],
  ['fails for good', { picture: Buffer.alloc(0) }, 'failed', 'IMAGE_EMPTY', ['claim', 'fetch', 'classify']],
  [
    'fails for now',
    { during: { compose: failWith(new Error('no luck')) } },
    'retried',
    'GENERATION_FAILED',
    ['claim', 'fetch', 'classify', 'generate'],
  ],
  [
    'meets an outage',
    { during: { get: failWith(new RetryableFailure('STORAGE_UNAVAILABLE', 'away')) } },
    'retried',
    'STORAGE_UNAVAILABLE',
    ['claim', 'fetch'],
  ],
  [
    'cannot be claimed',
    { during: { claim: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'away')) } },
    'retried',
    'DATABASE_UNAVAILABLE',
    ['claim'],
  ],
  [
    'cannot be given back',
    {
      during: { compose: failWith(new Error('no luck')), release: () => outage.strike() },
    },
    'retried',
    'DATABASE_UNAVAILABLE',
    ['claim', 'fetch', 'classify', 'generate'],
  ],
  [
    'loses its lease',
    { during: { classify: (steal: () => void) => steal() } },
    'lost',
    undefined,
    ['claim', 'fetch', 'classify', 'generate', 'store'],
  ],
] as const) {
  test(`a try that ${name} is heard of once, as ${outcome}, with its stages`, async (t) => {
    outage = outageOf(t, Number.POSITIVE_INFINITY)
    const house = build(options)
    await outage.until(house.process())
    const [ended, ...others] = house.ended
    assert.deepEqual(others, [])
    assert.deepEqual([ended!.outcome, ended!.code], [outcome, code])
    assert.equal(ended!.attempt, name === 'cannot be claimed' || name === 'cannot be given back' ? undefined : 1)
    assert.deepEqual(
      ended!.stages.map(({ stage }) => stage),
      stages,
    )
    assert.deepEqual([ended!.jobId, ended!.image.key, ended!.messageId], [jobId(upload), upload.key, 'm'])
  })
}

test('a try that a stop cuts short is heard of as stopped, and a picture settled before is not', async () => {
  const stop = new AbortController()
  const house = build({ during: { get: () => stop.abort() }, signal: stop.signal })
  await house.process()
  const settled = build()
  settled.job.state = 'succeeded'
  await settled.process()
  assert.deepEqual(
    [...house.ended, ...settled.ended].map(({ outcome }) => outcome),
    ['stopped'],
  )
})

test('the trace that the picture came with goes before that of the message', async () => {
  const house = build({ metadata: { traceparent: 'of the picture' } })
  await house.process()
  assert.deepEqual(house.ended[0]!.traceHeaders, ['of the picture', 'of the message'])
})

test('every line names picture, message and job, whoever wrote it', async (t) => {
  const { strike, until } = outageOf(t, Number.POSITIVE_INFINITY)
  const failures = {
    confirm: failWith(new RetryableFailure('DATABASE_UNAVAILABLE', 'away')),
    compose: failWith(new Error('no luck')),
    release: strike,
  }
  const houses = [build(), build({ during: failures }), build({ picture: Buffer.alloc(0) }), build({ heldFor: 1 })]
  houses[3]!.job.state = 'processing'
  for (const house of houses) await until(house.process())
  const lines = houses.flatMap((house) => house.log().trim().split('\n'))
  const said = lines.map((line) => JSON.parse(line))
  assert.ok(said.some(({ msg }) => msg === 'the prompt was cut'))
  for (const line of said) {
    assert.deepEqual([line.image_key, line.message_id, line.job_id], [upload.key, 'm', jobId(upload)], line.msg)
  }
  for (const line of lines) assert.ok(line.split('"attempt":').length <= 2, line)
})
