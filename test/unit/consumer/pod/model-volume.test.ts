import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { UsageError } from '#shared/command-line.ts'
import { modelFormat } from '#shared/model/manifest.ts'
import { modelDirOf, provideModels } from '../../../../services/consumer/pod/model-volume.ts'
import { buildModel } from '../../../../services/models/build-model.ts'
import { modelFaults } from '../../../../services/models/built-model.ts'
import { checkpointDir } from '../../../../services/models/checkpoint-store.ts'
import { parseTarget } from '../../../../services/models/target.ts'

const music = 'tiny-random-musicgen'
const classifier = 'tiny-random-clip'
const logger = pino({ enabled: false })

let volume: string
let modelDir: string
let commands: string[]

beforeEach(async () => {
  volume = await mkdtemp(join(tmpdir(), 'promenade-models-'))
  modelDir = modelDirOf(volume)
  commands = []
})

afterEach(() => rm(volume, { recursive: true }))

/** What `npm run models` does, in this process. */
async function run(command: string, ...args: string[]): Promise<number> {
  commands.push([command, ...args].join(' '))
  const names = args.filter((name) => !name.startsWith('--'))
  for (const name of names) {
    if (command === 'build') await buildModel(parseTarget(name)!, modelDir)
    if (command === 'verify' && (await modelFaults(join(modelDir, name))).length) return 1
  }
  return 0
}

const provide = (changes: Partial<Parameters<typeof provideModels>[0]> = {}) =>
  provideModels({ volume, modelDir, music, classifier, run, signal: new AbortController().signal, logger, ...changes })

test('what the volume lacks is pulled, built and verified; at the next start nothing is to be done', async () => {
  await provide()
  assert.deepEqual(commands.splice(0), [
    `pull ${music} ${classifier}`,
    `build ${music} ${classifier}`,
    `verify ${music}`,
    `verify ${classifier}`,
  ])
  await provide()
  assert.deepEqual(commands, [])
})

test('of pods that start at once one does it', async () => {
  await Promise.all([provide(), provide(), provide()])
  assert.equal(commands.filter((command) => command.startsWith('build')).length, 1)
})

test('each format has a folder of its own, and one checkpoint is for all; of their pods, too, one at a time is at work', async () => {
  const earlier = join(volume, music)
  await mkdir(earlier)
  await writeFile(join(earlier, 'manifest.json'), '{ "format": 3 }')
  const next = join(volume, 'format-next')
  let busy = false
  const runIn = (dir: string) =>
    provide({
      modelDir: dir,
      run: async (command, ...args) => {
        assert.equal(busy, false, command)
        busy = true
        if (command === 'pull') await mkdir(checkpointDir(dir, `pulled into ${basename(dir)}`), { recursive: true })
        if (command === 'build') for (const name of args) await buildModel(parseTarget(name)!, dir)
        busy = false
        return 0
      },
    })
  await Promise.all([runIn(modelDir), runIn(next)])
  assert.equal(basename(modelDir), `format-${modelFormat}`)
  for (const dir of [modelDir, next]) {
    assert.deepEqual(await modelFaults(join(dir, music)), [])
    assert.deepEqual((await readdir(join(dir, '.checkpoints'))).sort(), [
      `pulled into format-${modelFormat}`,
      'pulled into format-next',
    ])
    assert.equal(await readlink(join(dir, '.checkpoints')), '../.checkpoints', 'wherever the volume is mounted')
  }
  assert.deepEqual(await readdir(earlier), ['manifest.json'], 'what pods of an earlier image work with')
})

test('a model that is damaged is built again, and only that', async () => {
  await provide()
  const { files } = JSON.parse(await readFile(join(modelDir, music, 'manifest.json'), 'utf8'))
  await truncate(join(modelDir, music, Object.keys(files)[0]!), 10)
  commands = []
  await provide()
  assert.deepEqual(commands, [`pull ${music}`, `build ${music}`, `verify ${music}`])
})

test('a start cut off before the models were verified is made up for', async () => {
  const stopping = new AbortController()
  const cutOff = async (...args: Parameters<typeof run>) => {
    const status = await run(...args)
    if (args[0] === 'build') stopping.abort()
    return status
  }
  await assert.rejects(provide({ run: cutOff, signal: stopping.signal }), { name: 'AbortError' })
  const { files } = JSON.parse(await readFile(join(modelDir, classifier, 'manifest.json'), 'utf8'))
  const [file, { bytes }] = Object.entries<{ bytes: number }>(files)[0]!
  await writeFile(join(modelDir, classifier, file), Buffer.alloc(bytes))
  commands = []
  await provide()
  assert.deepEqual(commands, [
    `verify ${music}`,
    `verify ${classifier}`,
    `pull ${classifier}`,
    `build --force ${classifier}`,
    `verify ${classifier}`,
  ])
})

test('a command that fails ends the start, as bad usage where it is that', async () => {
  await assert.rejects(provide({ run: async () => 1 }), /npm run models -- pull .* failed; what it said is above/)
  await assert.rejects(provide({ run: async () => 2 }), UsageError)
})
