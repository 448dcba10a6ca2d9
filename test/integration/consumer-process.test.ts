import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rm } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { eq, sql } from 'drizzle-orm'
import type { FauxqsServer } from 'fauxqs'
import { type Database, openDatabase } from '#shared/db/client.ts'
import { type Consumers, createConsumers } from '#shared/db/consumers.ts'
import { migrate } from '#shared/db/migrate.ts'
import { consumers as consumersTable } from '#shared/db/schema.ts'
import packageJson from '../../package.json' with { type: 'json' }
import { startDatabase } from '../../services/local/database.ts'
import { region, startEmulator } from '../../services/local/emulator.ts'
import { isRunning } from '../is-running.ts'
import { buildTinyModels } from '../tiny-models.ts'
import { until } from '../until.ts'

const entry = fileURLToPath(new URL('../../services/consumer/main.ts', import.meta.url))

let emulator: FauxqsServer
let server: Awaited<ReturnType<typeof startDatabase>>
let database: Database
let consumers: Consumers
let modelDir: string
let env: Record<string, string>

before(async () => {
  emulator = await startEmulator()
  server = await startDatabase()
  await migrate({ url: server.url, tls: 'off' })
  database = openDatabase({ url: server.url, tls: 'off' })
  consumers = createConsumers({ database })
  modelDir = await buildTinyModels()
  env = {
    AWS_REGION: region,
    AWS_ENDPOINT_URL: emulator.address,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    BUCKET: 'pictures',
    QUEUE_URL: emulator.createQueue('uploads').queueUrl,
    DLQ_URL: emulator.createQueue('uploads-dlq').queueUrl,
    // Away; no message comes for which it would be missed.
    DATABASE_URL: 'mysql://user:hunter2@127.0.0.1:1/promenade',
    DATABASE_TLS: 'off',
    MODEL_DIR: modelDir,
    METRICS_PORT: '0',
  }
})

after(async () => {
  await database?.close()
  await server?.close()
  await emulator?.stop()
  await rm(modelDir, { recursive: true })
})

test('a signal ends the consumer in order, its inference process and its sign of life with it', async () => {
  const { child, logged, exited } = start({ env: { ...env, DATABASE_URL: server.url, GRACE_SECONDS: '2' } })
  const { pid: inferencePid } = await logged('inference process ready')
  const { id, startedAt, seenAt, ...seen } = await until(async () => (await consumers.list())[0])
  assert.ok(startedAt < seenAt)
  assert.deepEqual(seen, {
    version: packageJson.version,
    alive: true,
    state: 'running',
    inWork: 0,
    slots: 4,
    outages: [],
    executionProviders: ['cpu'],
    musicModel: 'tiny-random-musicgen',
    musicModelRevision: seen.musicModelRevision,
    classifierModel: 'tiny-random-clip',
    classifierModelRevision: seen.classifierModelRevision,
    clips: 0,
    realTimeFactor: null,
    receivedAgeSeconds: null,
  })
  child.kill('SIGTERM')
  const { status, output } = await exited
  assert.equal(status, 0, output)
  assert.match(output, /"consumer stopped"/)
  assert.doesNotMatch(output, /hunter2|"level":"(error|warn|fatal)"/)
  assert.equal(isRunning(Number(inferencePid)), false)
  assert.deepEqual(await consumers.list(), [])
})

test('what it starts inherits nothing that may be a secret', async () => {
  const secrets = { HF_TOKEN: 'hf_hunter2', SOMEBODYS_API_KEY: 'hunter2', RUNPOD_API_KEY: 'hunter2' }
  const { child, logged, exited } = start({ env: { ...env, ...secrets, CUDA_VISIBLE_DEVICES: '0' } })
  const { pid } = await logged('inference process ready')
  const found = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0')
  assert.ok(found.includes('CUDA_VISIBLE_DEVICES=0'))
  assert.doesNotMatch(found.join('\n'), /hunter2|AWS_|DATABASE_/)
  // A terminal that is closed ends it in order, too.
  child.kill('SIGHUP')
  const { status, output } = await exited
  assert.equal(status, 0, output)
  assert.match(output, /"consumer stopped"/)
})

test('one that is killed leaves its sign of life, which after a minute is one no more', async () => {
  const { child, exited } = start({ env: { ...env, DATABASE_URL: server.url } })
  const { id } = await until(async () => (await consumers.list())[0])
  child.kill('SIGKILL')
  await exited
  const aged = sql`utc_timestamp(3) - interval 61 second`
  await database.run((db) => db.update(consumersTable).set({ seenAt: aged }).where(eq(consumersTable.id, id)))
  const [left] = await consumers.list()
  assert.deepEqual([left!.id, left!.alive, left!.state], [id, false, 'running'])
})

test('a second signal ends it at once, but one that comes twice over is one', async () => {
  const { child, logged, exited } = start({ env })
  await logged('consumer started')
  child.kill('SIGINT')
  await logged('stopping')
  child.kill('SIGINT')
  await sleep(700)
  assert.equal(child.exitCode, null)
  child.kill('SIGINT')
  const { status, output } = await exited
  assert.equal(status, 1)
  assert.doesNotMatch(output, /"consumer stopped"/)
  assert.equal(output.match(/"the sign of life could not be written"/g)?.length, 1, output)
})

test('a signal is heard from the beginning, before anything else is loaded', async () => {
  const listens = encodeURIComponent(`process.on('newListener', (name) => {
    if (name === 'SIGINT') queueMicrotask(() => console.log('{"msg":"listens"}'))
  })`)
  const node = ['--import', `data:text/javascript,${listens}`]
  const { child, logged, exited } = start({ node, env })
  await logged('listens')
  child.kill('SIGTERM')
  assert.deepEqual(await exited, { status: 0, output: '{"msg":"listens"}\n' })
  // Not yet told what it is to do.
  assert.match((await start({ node, env: {} }).exited).output, /^{"msg":"listens"}\n[^{]*AWS_REGION is missing/)
})

test('it ends with status 1 when no inference process comes to answer, so that its pod does not stand idle', async () => {
  const ownModels = await buildTinyModels()
  const { logged, exited } = start({ env: { ...env, MODEL_DIR: ownModels } })
  const { pid } = await logged('inference process ready')
  await rm(ownModels, { recursive: true })
  process.kill(Number(pid), 'SIGKILL')
  const { status, output } = await exited
  assert.equal(status, 1, output)
  assert.equal(output.match(/"inference process lost, starting another"/g)?.length, 7, output)
  assert.match(
    output,
    /^the inference process was lost 8 times without a sign of work in between; at last: model tiny-random-musicgen is not in /m,
  )
  assert.match(output, /"consumer stopped"/)
})

test('a user’s mistake is told in words, without a stack', async () => {
  for (const { args = [], env: given, status, says } of [
    { env: {}, status: 2, says: [/AWS_REGION is missing/, /DATABASE_URL is missing/, /MODEL_DIR is missing/] },
    { env: { ...env, DATABASE_TLS: 'no' }, status: 2, says: [/DATABASE_TLS must be one of required, off/] },
    { env: { ...env, PROMPT_FILE: '/nowhere' }, status: 2, says: [/PROMPT_FILE must name a file of JSON/] },
    {
      env: { ...env, HOST: '127.0.0.1', METRICS_PORT: new URL(emulator.address).port },
      status: 1,
      says: [/EADDRINUSE/],
    },
    { env: { ...env, MUSIC_MODEL: 'nothing' }, status: 1, says: [/model nothing is not in .*npm run models/] },
    { env, args: ['--nothing'], status: 2, says: [/unknown option '--nothing'/] },
    { env, args: ['--help'], status: 0, says: [/Usage: npm run consumer/, /QUEUE_URL/] },
  ] as { args?: string[]; env: Record<string, string>; status: number; says: RegExp[] }[]) {
    const { status: found, output } = await start({ args, env: given }).exited
    assert.equal(found, status, output)
    for (const words of says) assert.match(output, words)
    assert.doesNotMatch(output, /hunter2|^ +at /m)
  }
})

/** The consumer as a process of its own, with nothing in its environment but `env`. */
function start({
  node = [],
  args = [],
  env: given,
}: {
  node?: string[]
  args?: string[]
  env: Record<string, string>
}) {
  const child = spawn(process.execPath, [...node, entry, ...args], { env: given, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const changed: (() => void)[] = []
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      for (const look of changed.splice(0)) look()
    })
  }
  const exited = exitOf(child).then((status) => ({ status, output }))

  return {
    child,
    exited,
    /** The first line that has been logged with this message. */
    async logged(message: string): Promise<Record<string, unknown>> {
      for (;;) {
        const line = output.split('\n').find((each) => each.includes(`"msg":"${message}"`))
        if (line) return JSON.parse(line)
        const { promise, resolve } = Promise.withResolvers<void>()
        changed.push(resolve)
        const ended = await Promise.race([promise, exited])
        if (ended) assert.fail(`ended with ${ended.status} before "${message}": ${ended.output}`)
      }
    },
  }
}

async function exitOf(child: ChildProcess): Promise<number | null> {
  await once(child, 'close')
  return child.exitCode
}
