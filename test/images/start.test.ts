import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, readdirSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import type { Result } from '#shared/contract/result.ts'
import { modelFormat } from '#shared/model/manifest.ts'
import { type Stack, startStack } from '../../services/local/stack.ts'
import { drawPicture } from '../picture.ts'
import { until } from '../until.ts'
import { signingHelper, workerIdentity } from '../worker-identity.ts'
import { buildImage, type Image } from './build.ts'

/** For a start, packages apart. */
const patienceMs = 60_000

let folder: string
let stack: Stack
let api: Image
let consumer: Image
const running = new Set<ChildProcess>()

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-images-'))
  stack = await startStack()
  const options = { parent: folder, layers: new Map() }
  api = await buildImage('services/api/Dockerfile', options)
  consumer = await buildImage('services/consumer/Dockerfile', { ...options, args: { PROVIDER: 'cpu' } })
})

after(async () => {
  for (const child of running) child.kill('SIGKILL')
  await stack?.close()
  await rm(folder, { recursive: true })
})

test('an image holds what its service needs and little more', () => {
  assert.deepEqual(api.leftOut, [])
  assert.deepEqual(consumer.leftOut, ['install --directory --owner=1000 --group=1000 /models'])
  for (const image of [api, consumer]) {
    assert.deepEqual(readdirSync(image.folder).sort(), ['node_modules', 'package.json', 'services', 'shared'])
    for (const name of ['typescript', 'aws-cdk-lib', 'fauxqs', 'node']) {
      assert.equal(existsSync(join(image.folder, 'node_modules', name)), false, `${name} is for development`)
    }
  }
  assert.deepEqual(readdirSync(join(api.folder, 'services')), ['api', 'migrate'])
  assert.deepEqual(readdirSync(join(consumer.folder, 'services')), ['consumer', 'models'])
  const runtimes = globSync('node_modules/onnxruntime-node/bin/napi-v6/*/*', { cwd: consumer.folder })
  assert.deepEqual(runtimes, [`node_modules/onnxruntime-node/bin/napi-v6/linux/${process.arch}`])
})

test('the API starts from its image, is healthy, and ends in order', async () => {
  const port = await freePort()
  const migration = start({ ...api, command: [api.command[0]!, 'services/migrate/main.ts'] }, stack.env)
  assert.deepEqual(await migration.exited, 0, migration.output())
  const container = start(api, { ...stack.env, PORT: String(port), AUTH: 'none' })
  await container.healthy()
  assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200)
  container.child.kill('SIGTERM')
  assert.equal(await container.exited, 0, container.output())
  assert.notEqual(await container.checkHealth(), 0)
})

test('the consumer makes its models at the first start alone, and works as its certificate says', async () => {
  const { AWS_ACCESS_KEY_ID: _, AWS_SECRET_ACCESS_KEY: __, ...settings } = stack.env
  const bin = join(folder, 'bin')
  const temporary = join(folder, 'tmp')
  const models = join(folder, 'models')
  const ofThisFormat = join(models, `format-${modelFormat}`)
  await mkdir(bin)
  await mkdir(temporary)
  const helper = join(bin, 'aws_signing_helper')
  await writeFile(helper, signingHelper, { mode: 0o755 })
  const env = {
    ...settings,
    ...workerIdentity,
    HF_TOKEN: 'hf_forTheModelsAlone',
    PATH: `${bin}${delimiter}${process.env.PATH}`,
    TMPDIR: temporary,
    MODEL_DIR: models,
    MUSIC_SECONDS: '0.1',
    METRICS_PORT: String(await freePort()),
  }

  const first = start(consumer, env)
  await first.healthy()
  const result = await musicFor('uploads/first.jpg')
  assert.equal(result.status, 'succeeded', JSON.stringify(result))
  first.child.kill('SIGTERM')
  assert.equal(await first.exited, 0, first.output())
  assert.match(first.output(), /tiny-random-musicgen: built in .*tiny-random-clip: every file is as its manifest says/s)
  assert.match(first.output(), /"consumer stopped"/)
  const built = await Promise.all(readdirSync(ofThisFormat).map((name) => stat(join(ofThisFormat, name))))

  const second = start(consumer, env)
  await second.healthy()
  second.child.kill('SIGTERM')
  assert.equal(await second.exited, 0, second.output())
  assert.doesNotMatch(second.output(), /built in|pull|verify/)
  const kept = await Promise.all(readdirSync(ofThisFormat).map((name) => stat(join(ofThisFormat, name))))
  assert.deepEqual(
    kept.map(({ ino, mtimeMs }) => [ino, mtimeMs]),
    built.map(({ ino, mtimeMs }) => [ino, mtimeMs]),
  )

  const call = JSON.parse((await readFile(`${helper}.calls`, 'utf8')).split('\n')[0]!)
  assert.deepEqual(
    call.environment.filter((name: string) => name in workerIdentity || name === 'HF_TOKEN'),
    [],
  )
  assert.doesNotMatch(first.output() + second.output(), /PRIVATE KEY|BEGIN CERTIFICATE/)
  assert.deepEqual(readdirSync(temporary), [], 'nothing is left of the key')
})

test('told to stop while it makes its models, the consumer ends in order', async () => {
  const container = start(consumer, { ...stack.env, MODEL_DIR: join(folder, 'other-models'), METRICS_PORT: '0' })
  await until(async () => container.output().includes('models build'))
  container.child.kill('SIGTERM')
  assert.equal(await container.exited, 0, container.output())
  assert.match(container.output(), /stopped before the models were ready/)
})

test('a setting that is wrong is told before any model is made', async () => {
  const { DATABASE_URL: _, ...settings } = stack.env
  const container = start(consumer, { ...settings, MODEL_DIR: join(folder, 'no-models'), ROLE_ARN: 'arn:role' })
  assert.equal(await container.exited, 2)
  assert.match(container.output(), /DATABASE_URL is missing.*ROLE_ARN must match pattern/s)
  assert.equal(existsSync(join(folder, 'no-models')), false)
})

async function musicFor(key: string): Promise<Result> {
  const port = await freePort()
  const container = start(api, { ...stack.env, PORT: String(port), AUTH: 'none' })
  await container.healthy()
  try {
    const picture = await drawPicture(1, { width: 64, height: 48 }).jpeg().toBuffer()
    await stack.s3.send(new PutObjectCommand({ Bucket: stack.env.BUCKET, Key: key, Body: picture }))
    return await until(async () => {
      const answer = await fetch(`http://127.0.0.1:${port}/v1/results/${key}?wait=20`)
      const result = (await answer.json()) as Result
      return /succeeded|failed/.test(result.status) && result
    })
  } finally {
    container.child.kill('SIGTERM')
    await container.exited
  }
}

/** A process in place of a container: the image's command in its folder, with its variables and the given ones alone. */
function start(image: Image, given: Record<string, string | undefined>) {
  const path = [dirname(process.execPath), process.env.PATH].join(delimiter)
  const env = { PATH: path, ...image.env, HOST: '127.0.0.1', ...given }
  const [command, ...args] = image.command
  const child = spawn(command!, args, { cwd: image.folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  running.add(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
  const exited = once(child, 'close').then(([status]) => {
    running.delete(child)
    return status as number | null
  })
  const checkHealth = async () => {
    const [program, ...words] = image.healthcheck
    return new Promise<number>((resolve) => {
      execFile(program!, words, { env }, (error) => resolve(error ? Number(error.code) : 0))
    })
  }
  return {
    child,
    exited,
    output: () => output,
    checkHealth,
    async healthy(): Promise<void> {
      const deadline = Date.now() + patienceMs
      while ((await checkHealth()) !== 0) {
        assert.equal(child.exitCode, null, output)
        assert.ok(Date.now() < deadline, `not healthy within ${patienceMs} ms: ${output}`)
        await sleep(200)
      }
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}
