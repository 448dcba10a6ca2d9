import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import Fastify from 'fastify'
import { pino } from 'pino'
import { healthRoutes } from '../../../../services/api/routes/health.ts'

async function start(t: TestContext) {
  let time = 1_000
  let pings = 0
  const parts = { database: true, bucket: true }
  const ping = (part: keyof typeof parts) => async () => {
    pings++
    if (!parts[part]) throw new Error(`${part} is away`)
  }
  const log: { msg: string }[] = []
  const loggerInstance = pino({ base: null }, { write: (line: string) => log.push(JSON.parse(line)) })
  const app = Fastify({ loggerInstance, disableRequestLogging: true })
  t.after(() => app.close())
  const now = () => time
  await app.register(healthRoutes({ database: { ping: ping('database') }, objects: { ping: ping('bucket') }, now }))
  return {
    parts,
    ask: async () => (await app.inject('/readyz')).statusCode,
    pass: (milliseconds: number) => {
      time += milliseconds
    },
    pings: () => pings,
    said: () => log.splice(0).map(({ msg }) => msg),
  }
}

test('many who ask whether it is ready at the same time, or within a second after, cost one look at each part', async (t) => {
  const { parts, ask, pass, pings } = await start(t)
  const all = (count: number) => Promise.all(Array.from({ length: count }, ask))
  assert.deepEqual(new Set(await all(1_000)), new Set([200]))
  parts.bucket = false
  pass(999)
  assert.equal(await ask(), 200)
  assert.equal(pings(), 2)
  pass(1)
  assert.deepEqual(new Set(await all(1_000)), new Set([503]))
  parts.bucket = true
  pass(999)
  assert.equal(await ask(), 503)
  assert.equal(pings(), 4)
  pass(1)
  assert.equal(await ask(), 200)
})

test('it is logged when what is away changes, however often it is asked for', async (t) => {
  const { parts, ask, pass, said } = await start(t)
  const again = async () => {
    pass(1_000)
    await ask()
    return said()
  }
  assert.deepEqual([await again(), await again()], [[], []])
  parts.bucket = false
  assert.deepEqual([await again(), await again()], [['not ready'], []])
  parts.database = false
  assert.deepEqual([await again(), await again()], [['not ready'], []])
  Object.assign(parts, { bucket: true, database: true })
  assert.deepEqual([await again(), await again()], [['ready again'], []])
})
