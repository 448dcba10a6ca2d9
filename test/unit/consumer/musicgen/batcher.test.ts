import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { createBatcher, type WaitingCommission } from '../../../../services/consumer/musicgen/batcher.ts'
import { until } from '../../../until.ts'

const options = { batchSize: 2, batchWaitMs: 1, maxGenerationSeconds: 60 }

function commission(seed: number, events: string[], controller = new AbortController()): WaitingCommission {
  return {
    clip: { prompt: '', seed, seconds: 1 },
    signal: controller.signal,
    onProgress() {},
    onWarning() {},
    onFinished: () => events.push(`finished ${seed}`),
    onFailed: (error) => events.push(`failed ${seed}: ${error.message}`),
  }
}

/** Composes at once; says the seeds of each batch. */
function createFakeComposer({ fail = false } = {}) {
  const batches: number[][] = []
  return {
    batches,
    async whenSeen(count: number) {
      await until(() => batches.flat().length >= count)
    },
    compose: async (commissions: readonly { clip: { seed: number }; onFinished(pcm: Float32Array[]): void }[]) => {
      batches.push(commissions.map(({ clip }) => clip.seed))
      commissions[0]!.onFinished([])
      if (fail) throw new Error('no more memory')
      for (const each of commissions.slice(1)) each.onFinished([])
    },
  }
}

test('clips that wait at the same time share a generation, up to the batch size', async () => {
  const composer = createFakeComposer()
  const batcher = createBatcher({ ...options, compose: composer.compose })
  const events: string[] = []
  for (const seed of [1, 2, 3]) batcher.add(commission(seed, events))
  await composer.whenSeen(3)
  assert.deepEqual(composer.batches, [[1, 2], [3]])
  batcher.add(commission(4, events))
  await composer.whenSeen(4)
  assert.deepEqual(events, ['finished 1', 'finished 2', 'finished 3', 'finished 4'])
})

test('a clip that is given up while it waits is not composed', async () => {
  const composer = createFakeComposer()
  const batcher = createBatcher({ ...options, compose: composer.compose })
  const events: string[] = []
  const controller = new AbortController()
  batcher.add(commission(1, events, controller))
  controller.abort()
  batcher.add(commission(2, events))
  await composer.whenSeen(1)
  assert.deepEqual(composer.batches, [[2]])
})

test('a generation that fails fails the clips that are not finished, and the next goes on', async () => {
  const composer = createFakeComposer({ fail: true })
  const batcher = createBatcher({ ...options, compose: composer.compose })
  const events: string[] = []
  for (const seed of [1, 2, 3]) batcher.add(commission(seed, events))
  await composer.whenSeen(3)
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(events, ['finished 1', 'failed 2: no more memory', 'finished 3'])
})

test('a generation that takes too long fails its clips; past 10 s of music it has longer, by its longest clip', async () => {
  const batcher = createBatcher({
    ...options,
    maxGenerationSeconds: 0.25,
    compose: async (_, { signal }) => {
      while (!signal.aborted) await sleep(1)
      throw signal.reason
    },
  })
  const limitOf = (lengths: number[]) =>
    Promise.all(
      lengths.map(async (seconds) => {
        const { promise, resolve } = Promise.withResolvers<Error>()
        batcher.add({ ...commission(1, []), clip: { prompt: '', seed: 1, seconds }, onFailed: resolve })
        return (await promise).message
      }),
    )
  assert.deepEqual(await limitOf([0.02]), ['the generation took more than 0.25 s'])
  assert.deepEqual(await limitOf([10]), ['the generation took more than 0.25 s'])
  assert.deepEqual(await limitOf([10, 30]), Array(2).fill('the generation took more than 0.75 s'))
})
