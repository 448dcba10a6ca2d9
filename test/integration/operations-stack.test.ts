import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Operations } from '../../services/api/routes/operations.ts'
import { until } from '../until.ts'
import { startWholeStack, type WholeStack } from '../whole-stack.ts'

let stack: WholeStack

before(async () => {
  stack = await startWholeStack()
})

after(() => stack?.close())

test('what operators see is what the queues, the jobs and the results say', async () => {
  const { upload, withConsumer, drained, get } = stack
  await upload('uploads/first.jpg')
  await upload('uploads/broken.jpg', Buffer.from('no picture'))
  const waiting = await operations()
  assert.deepEqual([waiting.queue, waiting.dead_letters], [depth(2), depth(0)])
  assert.deepEqual([waiting.jobs, waiting.consumers, waiting.recent], [{ queued: 0, processing: 0 }, [], []])

  const music = Promise.withResolvers<void>()
  const inference = {
    compose: async () => {
      await music.promise
      return [new Float32Array(3_200)]
    },
  }
  await withConsumer({ inference, settings: { BATCH_SIZE: '2' } }, async () => {
    const working = await until(async () => {
      const seen = await operations()
      return seen.jobs.processing === 1 && seen.dead_letters?.visible === 1 && seen.queue?.in_flight === 1 && seen
    })
    assert.deepEqual(working.queue, { visible: 0, in_flight: 1 })
    assert.deepEqual(working.dead_letters, depth(1))
    assert.ok(working.jobs.oldest_seconds! >= 0)
    assert.deepEqual(working.failures.by_code, [{ code: 'IMAGE_UNSUPPORTED_TYPE', jobs: 1 }])
    assert.equal(Date.parse(working.at) - Date.parse(working.failures.since), 86_400_000)
    const [consumer, ...others] = working.consumers
    assert.deepEqual(others, [])
    const { alive, state, slots, outages, execution_providers, music_model } = consumer!
    assert.deepEqual(
      { alive, state, slots, outages, execution_providers, music_model },
      {
        alive: true,
        state: 'running',
        slots: 2,
        outages: [],
        execution_providers: ['cpu'],
        music_model: { name: 'stub-music', revision: '0' },
      },
    )
    music.resolve()
    await drained()
  })

  const done = await until(async () => {
    const seen = await operations()
    return seen.recent.length === 1 && seen.consumers.length === 0 && seen
  })
  assert.deepEqual([done.queue, done.jobs], [depth(0), { queued: 0, processing: 0 }])
  const { key, take, finished_at, timings } = (await get('uploads/first.jpg')).body
  assert.deepEqual(done.recent, [{ key, take, finished_at, ...timings }])
})

const depth = (visible: number) => ({ visible, in_flight: 0 })

async function operations(): Promise<Operations> {
  const response = await fetch(`${stack.address}/v1/operations`)
  assert.equal(response.status, 200)
  return (await response.json()) as Operations
}
