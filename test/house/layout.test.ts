import assert from 'node:assert/strict'
import { globSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '')
const topLevel = ['README.md', 'LICENSE', 'package.json', 'package-lock.json', 'tsconfig.json', 'biome.json']
const rooms = ['cdk', 'services', 'shared', 'test']
const maxLines = 300
const maxReported = 20

interface Import {
  /** Relative to the root, as are all paths here. */
  from: string
  /** A path for what is ours, else the name of the package or of Node's module. */
  to: string
  ours: boolean
  /** Empty: all that there is. */
  names: string[]
}

const files = rooms.flatMap((room) => globSync(`${room}/**/*.{ts,js}`, { cwd: root })).sort()
const sources = files.filter((file) => !isWithin(file, 'test'))
const text = (file: string) => readFileSync(join(root, file), 'utf8')
const imports = files.flatMap(importsOf)

function importsOf(file: string): Import[] {
  const statements = /^(?:import|export)\b([^'";]*?)\bfrom\s+'([^']+)'|^import\s+'([^']+)'|\bimport\(\s*'([^']+)'/gm
  return Array.from(text(file).matchAll(statements), ([, clause = '', named, bare, dynamic]) => {
    const specifier = named ?? bare ?? dynamic!
    const [, listed = ''] = /\{(.*)\}/s.exec(clause) ?? []
    const names = Array.from(listed.matchAll(/(?:^|,)\s*(?:type )?(\w+)/g), ([, name]) => name!)
    if (specifier.startsWith('#')) return { from: file, to: specifier.slice(1), ours: true, names }
    if (!specifier.startsWith('.')) return { from: file, to: specifier, ours: false, names }
    return { from: file, to: relative(root, join(root, dirname(file), specifier)), ours: true, names }
  })
}

function isWithin(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`)
}

/** `services/api` for a file of a service, else the outermost folder that the rules tell apart. */
function roomOf(path: string): string {
  const [top, second] = path.split('/')
  const pure = top === 'shared' && (second === 'contract' || second === 'model')
  return top === 'services' || pure ? `${top}/${second}` : top!
}

function none(offenders: string[], rule: string): void {
  assert.equal(offenders.length, 0, `${rule}:\n  ${offenders.slice(0, maxReported).join('\n  ')}`)
}

function noImports(rule: string, offends: (each: Import) => boolean): void {
  none(
    imports.filter(offends).map(({ from, to }) => `${from} imports ${to}`),
    rule,
  )
}

const isPackage = ({ to, ours }: Import, name: string) => !ours && (to === name || isWithin(to, name))

test('the top level is fixed', () => {
  const allowed = new Set([...topLevel, ...rooms, 'node_modules'])
  const found = readdirSync(root).filter((name) => !name.startsWith('.') && !allowed.has(name))
  none(found, `at the top level are only ${[...allowed].join(', ')} and dotfiles`)
})

test('rooms import only what they may', () => {
  assert.ok(imports.length > 100, 'the imports are found')
  noImports('shared/contract and shared/model import nothing of ours', ({ from, to, ours }) => {
    const room = roomOf(from)
    return ours && (room === 'shared/contract' || room === 'shared/model') && roomOf(to) !== room
  })
  noImports(
    'shared imports shared only',
    ({ from, to, ours }) => ours && isWithin(from, 'shared') && !isWithin(to, 'shared'),
  )
  noImports(
    'a service imports shared and itself only',
    ({ from, to, ours }) =>
      ours &&
      isWithin(from, 'services') &&
      !isWithin(to, 'shared') &&
      roomOf(to) !== roomOf(from) &&
      // Its version.
      to !== 'package.json',
  )
  noImports(
    'cdk imports shared/contract and itself only',
    ({ from, to, ours }) => ours && isWithin(from, 'cdk') && !['cdk', 'shared/contract'].includes(roomOf(to)),
  )
})

test('packages stay where they belong', () => {
  const inside = (folders: string[]) => (path: string) => [...folders, 'test'].some((folder) => isWithin(path, folder))
  const runtime = inside(['services/consumer/onnx', 'services/models'])
  noImports(
    'onnxruntime-node is imported by services/consumer/onnx and services/models only',
    (each) => isPackage(each, 'onnxruntime-node') && !runtime(each.from),
  )
  const emulator = inside(['services/local'])
  noImports('fauxqs is imported by services/local only', (each) => isPackage(each, 'fauxqs') && !emulator(each.from))
  const database = inside(['shared/db', 'services/local'])
  noImports(
    'mysql2 and drizzle are imported by shared/db, and mysql2 by services/local',
    (each) => ['mysql2', 'drizzle-orm', 'drizzle-kit'].some((name) => isPackage(each, name)) && !database(each.from),
  )
  const telemetry = inside(['services/consumer/telemetry'])
  noImports(
    'prom-client and OpenTelemetry are imported by services/consumer/telemetry, and prom-client by the metrics of the API',
    (each) =>
      ['prom-client', '@opentelemetry'].some((name) => isPackage(each, name)) &&
      !telemetry(each.from) &&
      !(each.from === 'services/api/plugins/metrics.ts' && each.to === 'prom-client'),
  )
  const pure = ['typebox', 'node:crypto']
  noImports(
    `shared/contract and shared/model import only ${pure.join(', ')}`,
    (each) =>
      !each.ours &&
      ['shared/contract', 'shared/model'].includes(roomOf(each.from)) &&
      !pure.some((name) => isPackage(each, name)),
  )
  const models = ['services/consumer/musicgen', 'services/consumer/classifier']
  noImports(
    'musicgen and classifier know nothing of S3, SQS or the database',
    (each) =>
      models.some((folder) => isWithin(each.from, folder)) &&
      (/^shared\/(aws|db)\//.test(each.to) || /^(@aws-sdk\/|sqs-consumer|mysql2|drizzle)/.test(each.to)),
  )
})

test('what is exported is imported', () => {
  const importsTo = Map.groupBy(imports, ({ to }) => to)
  const isImported = (file: string, name: string) =>
    importsTo.get(file)?.some(({ names }) => names.length === 0 || names.includes(name))
  const exports = /^export (?:async )?(?:function\*?|const|class|interface|type) (\w+)/gm
  const unwanted = sources
    // By apps, and by Lambda.
    .filter((file) => !isWithin(file, 'services/api/client') && !file.endsWith('.lambda.ts'))
    .flatMap((file) =>
      Array.from(text(file).matchAll(exports), ([, name]) => name!)
        .filter((name) => !isImported(file, name))
        .map((name) => `${file} exports ${name}`),
    )
  none(unwanted, 'what no other file imports is not exported')
})

test('only what is started as a process reads the environment or exits', () => {
  const processes = new Set([
    'services/consumer/onnx/inference-process.ts',
    'services/local/bootstrap.js',
    'services/local/demo.ts',
    'services/local/dev.ts',
    'services/local/guard.ts',
    // How the entry files end.
    'shared/command-line.ts',
  ])
  const offenders = sources.filter(
    (file) =>
      basename(file) !== 'main.ts' &&
      !file.endsWith('.lambda.ts') &&
      !processes.has(file) &&
      /\bprocess\.(env|exit|exitCode)\b/.test(text(file)),
  )
  none(offenders, 'process.env and process.exit are for main.ts, functions and the entry files of processes')
})

test('a client of AWS that gives a request time throws when it is over', () => {
  // Without being told to, the SDK says so and waits on.
  const clients = sources.filter((file) => imports.some(({ from, to }) => from === file && to.startsWith('@aws-sdk/')))
  const logging = clients.filter((file) => /^(?!.*throwOnRequestTimeout: true).*\brequestTimeout\b/s.test(text(file)))
  none(logging, 'requestTimeout goes with throwOnRequestTimeout: true')
})

test('a file is one noun of at most 300 lines', () => {
  const long = sources.filter((file) => text(file).split('\n').length - 1 > maxLines)
  none(long, `a source file has at most ${maxLines} lines`)
  const vague = files.filter((file) => /(^|\/)(utils?|helpers?|common|types?|index|misc)(\/|\.[^/]*$)/.test(file))
  none(vague, 'no utils, helpers, common, types or barrels')
})

test('nothing refers to what lies outside the repository', () => {
  noImports('imports stay inside', ({ to, ours }) => ours && to.startsWith('..'))
  const kept = [...topLevel, ...globSync('{cdk,services,shared,test}/**/*.{ts,js,json,md,py,sql}', { cwd: root })]
  none(
    kept.filter((file) => text(file).includes(`${root}/`)),
    'no file names the folder that the repository happens to lie in',
  )
  none(
    sources.filter((file) => /\bissues? #?\d+\b/i.test(text(file))),
    'comments say why by themselves, without numbers of a tracker',
  )
})
