import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'
import { readConfig } from '#shared/config.ts'
import { openDatabase } from '#shared/db/client.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { createLogger } from '#shared/logger.ts'
import { createConsumer } from '../../services/consumer/app.ts'
import { consumerSettings } from '../../services/consumer/setting-names.ts'
import { startApi } from '../../services/local/processes.ts'
import { startStack } from '../../services/local/stack.ts'
import { drawPicture } from '../picture.ts'
import { createStubInference, promptWords } from '../stub-inference.ts'

const run = promisify(execFile)
const client = resolve('services/api/client')
const apiKey = 'a-key-for-the-page-of-the-client'
const closers: (() => Promise<unknown>)[] = []

let folder: string
let baseUrl: string
let page: string

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade-page-'))
  closers.push(() => rm(folder, { recursive: true }))
  page = await readFile(join(client, 'README.md'), 'utf8')
  const stack = await startStack()
  closers.push(stack.close)
  const database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
  closers.push(database.close)
  const consumer = createConsumer({
    config: readConfig(consumerSettings, { ...stack.env, MUSIC_SECONDS: '1' }),
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    jobs: createJobs({ database }),
    inference: createStubInference(),
    words: promptWords,
    logger: createLogger({ level: 'silent', service: 'page' }),
  })
  consumer.start()
  closers.push(consumer.stop)
  const api = await startApi({ env: { ...stack.env, HOST: '127.0.0.1', PORT: '0', API_KEYS: apiKey } })
  closers.push(api.close)
  baseUrl = api.ready[1]!
  await drawPicture(1, { width: 64, height: 48 }).jpeg().toFile(join(folder, 'picture.jpg'))
})

after(async () => {
  for (const close of closers.toReversed()) await close()
})

/** The only block of a language on the page. */
function block(language: string): string {
  const [found, ...others] = page.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))
  assert.ok(found && others.length === 0, `one block of ${language}`)
  return found[1]!
}

test('the curl commands bring a picture to its music', async () => {
  const env = { PATH: process.env.PATH, API: baseUrl, KEY: apiKey }
  const { stdout } = await run('sh', ['-ec', block('sh')], { cwd: folder, env, timeout: 60_000 })
  const { status, music_url: url } = JSON.parse(stdout)
  assert.deepEqual([status, typeof url], ['succeeded', 'string'])
})

test('the TypeScript runs as it stands, with an address, a key and a picture', async () => {
  await cp(client, join(folder, 'app/promenade'), { recursive: true })
  const picture = JSON.stringify(join(folder, 'picture.jpg'))
  const given = [
    `const [baseUrl, apiKey] = ${JSON.stringify([baseUrl, apiKey])}`,
    `const picture = new Uint8Array(await (await import('node:fs/promises')).readFile(${picture}))`,
  ]
  await writeFile(join(folder, 'app/page.ts'), [...given, block('ts')].join('\n'))
  const { stdout } = await run(process.execPath, ['app/page.ts'], { cwd: folder, timeout: 60_000 })
  assert.match(stdout, /^[\w ]+ \[\n? *{ name/m)
  assert.match(stdout, /X-Amz-Signature=/)
  assert.match(stdout, /^succeeded 1\n\d\nRESULT_NOT_FOUND 404 false\n$/m)
})

test('the React Native component is sound to the compiler', async () => {
  await cp(client, join(folder, 'native/promenade'), { recursive: true })
  await writeFile(join(folder, 'native/music.tsx'), block('tsx'))
  await writeFile(
    join(folder, 'native/native.d.ts'),
    `declare module 'react' {
      export function useState<T>(): [T | undefined, (value: T) => void]
    }
    declare module 'react/jsx-runtime' {
      export namespace JSX {
        type Element = object
        type ElementChildrenAttribute = { children: unknown }
      }
    }
    declare module 'react-native' {
      export function Button(properties: { title: string; onPress(): unknown }): object
      export function Text(properties: { children: string }): object
    }
    `,
  )
  await symlink(resolve('node_modules'), join(folder, 'node_modules'))
  const strict = ['--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes']
  const platform = ['--lib', 'es2022,dom', '--types', '', '--jsx', 'react-jsx', '--target', 'es2022']
  const modules = ['--module', 'esnext', '--moduleResolution', 'bundler', '--allowImportingTsExtensions']
  const options = ['--ignoreConfig', '--noEmit', ...strict, ...platform, ...modules]
  const tsc = run('node_modules/.bin/tsc', [...options, 'native/music.tsx', 'native/native.d.ts'], { cwd: folder })
  const { stdout } = await tsc.catch((error: { stdout: string }) => error)
  assert.equal(stdout, '')
})
