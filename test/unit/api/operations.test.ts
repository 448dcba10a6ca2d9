import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { QueueDepth } from '#shared/aws/queue.ts'
import type { SeenConsumer } from '#shared/db/consumers.ts'
import type { Figures } from '#shared/db/figures.ts'
import { RetryableFailure } from '#shared/failure.ts'
import { readApiKeys } from '../../../services/api/api-key.ts'
import { createApp } from '../../../services/api/app.ts'
import { createOperationsReader } from '../../../services/api/operations.ts'
import { apiOptions } from '../../api-options.ts'
import { until } from '../../until.ts'

const at = new Date('2026-01-02T03:04:05.678Z')
const away = new RetryableFailure('DATABASE_UNAVAILABLE', 'away')
const deadLetters = async () => ({ visible: 2, inFlight: 0 })

const figures: Figures = {
  at,
  queued: 12,
  processing: 4,
  oldestSeconds: 41.5,
  failures: { since: new Date(at.getTime() - 86_400_000), byCode: [{ code: 'IMAGE_CORRUPT', jobs: 3 }] },
  recent: [
    {
      key: 'uploads/a.jpg',
      take: 1,
      finishedAt: at,
      queueMs: 1,
      fetchMs: 2,
      classifyMs: 3,
      generateMs: 4,
      storeMs: 5,
      totalMs: 15,
    },
  ],
}

const consumer: SeenConsumer = {
  id: 'ab'.repeat(16),
  version: '0.1.0',
  startedAt: at,
  seenAt: at,
  alive: true,
  state: 'running',
  inWork: 3,
  slots: 4,
  outages: ['QUEUE_UNAVAILABLE'],
  executionProviders: ['cuda', 'cpu'],
  musicModel: 'musicgen',
  musicModelRevision: 'r1',
  classifierModel: 'clip',
  classifierModelRevision: 'r2',
  clips: 7,
  realTimeFactor: null,
  receivedAgeSeconds: null,
}

test('operators, and they alone, are told of queues, jobs, consumers, failures and timings', async (t) => {
  const auth = { keys: readApiKeys('the-key-of-an-app:read+upload+act,an-operators-key:admin') }
  const { ask } = await build(t, { auth, depths: { deadLetters } })
  assert.equal((await ask()).statusCode, 401)
  assert.equal((await ask('the-key-of-an-app')).statusCode, 403)
  const response = await ask('an-operators-key')
  assert.equal(response.headers['cache-control'], 'private, no-store')
  assert.deepEqual(response.json(), {
    at: '2026-01-02T03:04:05.678Z',
    queue: { visible: 12, in_flight: 4 },
    dead_letters: { visible: 2, in_flight: 0 },
    jobs: { queued: 12, processing: 4, oldest_seconds: 41.5 },
    consumers: [
      {
        id: 'ab'.repeat(16),
        version: '0.1.0',
        started_at: '2026-01-02T03:04:05.678Z',
        seen_at: '2026-01-02T03:04:05.678Z',
        alive: true,
        state: 'running',
        in_work: 3,
        slots: 4,
        outages: ['QUEUE_UNAVAILABLE'],
        execution_providers: ['cuda', 'cpu'],
        music_model: { name: 'musicgen', revision: 'r1' },
        classifier_model: { name: 'clip', revision: 'r2' },
        clips: 7,
      },
    ],
    failures: { since: '2026-01-01T03:04:05.678Z', by_code: [{ code: 'IMAGE_CORRUPT', jobs: 3 }] },
    recent: [
      {
        key: 'uploads/a.jpg',
        take: 1,
        finished_at: '2026-01-02T03:04:05.678Z',
        queue_ms: 1,
        fetch_ms: 2,
        classify_ms: 3,
        generate_ms: 4,
        store_ms: 5,
        total_ms: 15,
      },
    ],
  })
})

test('a consumer that has generated and received says how fast and how late', async (t) => {
  const { ask } = await build(t, { consumers: [{ ...consumer, realTimeFactor: 3.25, receivedAgeSeconds: 0 }] })
  const [seen] = (await ask()).json().consumers
  assert.deepEqual([seen.real_time_factor, seen.received_age_seconds], [3.25, 0])
})

test('a queue that does not answer is left out and logged, and so is one that nobody has named', async (t) => {
  const uploads = async () => {
    throw new RetryableFailure('STORAGE_UNAVAILABLE', 'no answer')
  }
  const { ask, warnings } = await build(t, { depths: { uploads } })
  const { statusCode, body } = await ask()
  assert.equal(statusCode, 200)
  const { queue, dead_letters, jobs } = JSON.parse(body)
  assert.deepEqual([queue, dead_letters, jobs.queued], [undefined, undefined, 12])
  assert.deepEqual(warnings, ['uploads'])
})

test('where there is nothing unfinished there is no oldest', async (t) => {
  const { ask } = await build(t, { figures: { ...figures, queued: 0, processing: 0, oldestSeconds: undefined } })
  assert.deepEqual((await ask()).json().jobs, { queued: 0, processing: 0 })
})

test('many who ask at the same time, or within a second after, cost one reading', async (t) => {
  const { ask, pass, readings } = await build(t, {})
  await Promise.all([ask(), ask(), ask()])
  pass(999)
  await ask()
  assert.equal(readings(), 1)
  pass(1)
  await Promise.all([ask(), ask()])
  assert.equal(readings(), 2)
})

test('a reading that takes long is waited for by all, and its second begins at its end', async (t) => {
  const { promise, resolve } = Promise.withResolvers<QueueDepth>()
  const { ask, pass, readings } = await build(t, { depths: { uploads: () => promise } })
  const first = ask()
  await until(() => readings() > 0)
  pass(1_900)
  const second = ask()
  resolve({ visible: 1, inFlight: 0 })
  for (const each of [first, second]) assert.equal((await each).json().queue.visible, 1)
  await ask()
  assert.equal(readings(), 1)
})

test('a database that is away is a problem, and asked again by the next one', async (t) => {
  const { ask, fail, readings } = await build(t, {})
  fail(away)
  const { statusCode, body } = await ask()
  assert.deepEqual([statusCode, JSON.parse(body).code], [503, 'DATABASE_UNAVAILABLE'])
  fail(undefined)
  assert.equal((await ask()).statusCode, 200)
  assert.equal(readings(), 2)
})

/** The API on figures that are given, with a clock that stands still but for `pass`. */
async function build(
  t: TestContext,
  {
    auth = 'none' as const,
    figures: read = figures,
    consumers = [consumer],
    depths = {},
  }: {
    auth?: Parameters<typeof createApp>[0]['auth']
    figures?: Figures
    consumers?: SeenConsumer[]
    depths?: Partial<Parameters<typeof createOperationsReader>[0]['depths']>
  },
) {
  let now = 0
  let readings = 0
  let failure: Error | undefined
  const warnings: unknown[] = []
  const operations = createOperationsReader({
    figures: {
      async read() {
        readings++
        if (failure) throw failure
        return read
      },
    },
    consumers: { list: async () => consumers },
    depths: { uploads: async () => ({ visible: 12, inFlight: 4 }), ...depths },
    logger: { warn: ({ queue }: { queue: string }) => void warnings.push(queue) },
    now: () => now,
  })
  const app = await createApp(apiOptions({ operations, auth }))
  t.after(() => app.close())
  return {
    warnings,
    readings: () => readings,
    ask: (key?: string) =>
      app.inject({ url: '/v1/operations', ...(key && { headers: { authorization: `Bearer ${key}` } }) }),
    pass(milliseconds: number): void {
      now += milliseconds
    },
    fail(error: Error | undefined): void {
      failure = error
    },
  }
}
