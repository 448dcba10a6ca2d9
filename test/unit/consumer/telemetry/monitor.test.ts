import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { pino } from 'pino'
import { createMetrics } from '../../../../services/consumer/telemetry/metrics.ts'
import { type Monitored, startMonitor } from '../../../../services/consumer/telemetry/monitor.ts'

const since = new Date('2026-01-02T03:04:05.678Z')

test('before there is a consumer it lives, counts, and is not ready', async (t) => {
  const { get, state } = await start(t)
  state.consumer = undefined
  state.modelsLoaded = false
  assert.deepEqual(await get('/healthz'), { status: 200, json: { status: 'ok' } })
  assert.deepEqual(await get('/readyz'), {
    status: 503,
    json: { status: 'unavailable', models_loaded: false, running: false, outages: [] },
  })
  assert.match((await get('/metrics')).text!, /^promenade_messages_in_work 0$/m)
})

test('it is ready while messages are received, and else names what is away and since when', async (t) => {
  const { get, state } = await start(t)
  assert.deepEqual(await get('/readyz'), {
    status: 200,
    json: { status: 'ok', models_loaded: true, running: true, outages: [] },
  })
  state.outages.push({ code: 'DATABASE_UNAVAILABLE', since })
  const outages = [{ code: 'DATABASE_UNAVAILABLE', since: since.toISOString() }]
  assert.deepEqual(await get('/readyz'), {
    status: 503,
    json: { status: 'unavailable', models_loaded: true, running: true, outages },
  })
  assert.equal((await get('/healthz')).status, 200)
  state.outages.pop()
  state.modelsLoaded = false
  assert.equal((await get('/readyz')).status, 503)
})

test('messages are counted once for all who look within ten seconds, and never fail a look', async (t) => {
  const { get, state } = await start(t)
  const visible = async () => (await get('/metrics')).text!.match(/queue="uploads",state="visible"\} (\d+)/)?.[1]
  assert.deepEqual(await Promise.all([visible(), visible()]), ['5', '5'])
  assert.equal(state.counted, 1)
  state.now += 10_000
  state.countError = new Error('away')
  assert.equal(await visible(), undefined)
  assert.match((await get('/metrics')).text!, /^promenade_messages_in_work 2$/m)
  assert.equal(state.counted, 2)
})

test('it closes at once, whoever is connected', async (t) => {
  const { monitor, origin } = await start(t)
  const idle = connect(Number(new URL(origin).port), '127.0.0.1')
  await once(idle, 'connect')
  idle.write('GET /metrics HTTP/1.1\r\n')
  idle.on('error', () => {})
  const ended = new Promise((resolve) => idle.once('close', resolve))
  await monitor.close()
  await ended
  await assert.rejects(fetch(`${origin}/healthz`))
})

test('a connection has one answer, however often it asks: the others are refused', async (t) => {
  const { origin } = await start(t)
  const socket = connect(Number(new URL(origin).port), '127.0.0.1')
  socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1_000))
  let text = ''
  const statuses = () => Array.from(text.matchAll(/^HTTP\/1\.1 (\d+)/gm), ([, status]) => status)
  for await (const bytes of socket) {
    text += bytes
    if (statuses().length === 1_000) break
  }
  assert.deepEqual(statuses(), ['200', ...Array(999).fill('503')])
})

async function start(t: TestContext) {
  const lines: string[] = []
  const outages: { code: string; since: Date }[] = []
  const state = {
    now: 0,
    modelsLoaded: true,
    outages,
    counted: 0,
    countError: undefined as Error | undefined,
    consumer: {
      health: () => ({ running: true, inWork: 2, outages }),
      async queueDepths(): ReturnType<Monitored['queueDepths']> {
        state.counted++
        if (state.countError) throw state.countError
        return { uploads: { visible: 5, inFlight: 2 }, deadLetters: { visible: 0, inFlight: 0 } }
      },
    } as Monitored | undefined,
  }
  const monitor = await startMonitor({
    host: '127.0.0.1',
    port: 0,
    metrics: createMetrics(),
    modelsLoaded: async () => state.modelsLoaded,
    consumer: () => state.consumer,
    logger: pino({}, { write: (line) => lines.push(line) }),
    now: () => state.now,
  })
  t.after(() => monitor.close())
  const [, origin] = lines.join('').match(/serving metrics and health on (http:[^"]+)"/)!
  return {
    monitor,
    state,
    origin: origin!,
    async get(path: string): Promise<{ status: number; json?: unknown; text?: string }> {
      const response = await fetch(`${origin}${path}`)
      const isJson = response.headers.get('content-type')?.startsWith('application/json')
      return {
        status: response.status,
        ...(isJson ? { json: await response.json() } : { text: await response.text() }),
      }
    },
  }
}
