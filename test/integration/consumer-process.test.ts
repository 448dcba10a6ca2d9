import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { FauxqsServer } from 'fauxqs'
import { region, startEmulator } from '../../services/local/emulator.ts'
import { buildTinyModels } from '../tiny-models.ts'

const entry = fileURLToPath(new URL('../../services/consumer/main.ts', import.meta.url))

let emulator: FauxqsServer
let modelDir: string
let env: Record<string, string>

before(async () => {
  emulator = await startEmulator()
  modelDir = await buildTinyModels()
  env = {
    AWS_REGION: region,
    AWS_ENDPOINT_URL: emulator.address,
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
    BUCKET: 'pictures',
    QUEUE_URL: emulator.createQueue('uploads').queueUrl,
    DLQ_URL: emulator.createQueue('uploads-dlq').queueUrl,
    // Asked for nothing here, since no message comes.
    DATABASE_URL: 'mysql://user:hunter2@127.0.0.1:1/promenade',
    DATABASE_TLS: 'off',
    MODEL_DIR: modelDir,
    METRICS_PORT: '0',
  }
})

after(async () => {
  await emulator.stop()
  await rm(modelDir, { recursive: true })
})

test('a signal ends the consumer in order, its inference process with it', async () => {
  const { child, logged, exited } = start({ env: { ...env, GRACE_SECONDS: '2' } })
  const { pid: inferencePid } = await logged('inference process ready')
  await logged('consumer started')
  child.kill('SIGTERM')
  const { status, output } = await exited
  assert.equal(status, 0, output)
  assert.match(output, /"consumer stopped"/)
  assert.doesNotMatch(output, /hunter2|"level":"(error|warn|fatal)"/)
  assert.throws(() => process.kill(Number(inferencePid), 0), { code: 'ESRCH' })
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
function start({ args = [], env: given }: { args?: string[]; env: Record<string, string> }) {
  const child = spawn(process.execPath, [entry, ...args], { env: given, stdio: ['ignore', 'pipe', 'pipe'] })
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
