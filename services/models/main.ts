import { join, resolve } from 'node:path'
import { Argument, Command, InvalidArgumentError, Option } from 'commander'
import { runCommandLine, UsageError } from '#shared/command-line.ts'
import { type Precision, precisions } from '#shared/model/manifest.ts'
import { printable } from '#shared/printable.ts'
import { buildModel, modelState } from './build-model.ts'
import { modelFaults } from './built-model.ts'
import { entryOf, isGenerated, isOnHub, modelNames } from './catalogue.ts'
import { pull } from './hub/pull.ts'
import { describeModels } from './list-models.ts'
import { parseTarget, type Target, targetDir, targetOf } from './target.ts'

// ONNX Runtime, which checks the graphs, else tells Microsoft what it runs on.
process.env.ORT_DISABLE_TELEMETRY ??= '1'

const print = (line: string) => process.stdout.write(`${line}\n`)
const seconds = (since: number) => ((performance.now() - since) / 1000).toFixed(1)

const program = new Command('npm run models --')
  .description('Pulls checkpoints in the layout of Hugging Face, and builds ONNX graphs from them.')
  .option('--dir <folder>', 'folder of the built models', process.env.MODEL_DIR || '.local/models')
  .configureHelp({ showGlobalOptions: true })
  .addHelpText(
    'after',
    `
A model is pulled, then built:
  npm run models -- pull musicgen-small
  npm run models -- build musicgen-small

Each is built in its usual precision into a folder of its name; in another, as with --precision fp32 or by the name
musicgen-small-fp32, into musicgen-small-fp32 beside it. Checkpoints are kept in .checkpoints below the folder of the
models; once built, they may be removed.

MODEL_DIR        folder of the built models, unless --dir names it
HF_ENDPOINT      another hub than https://huggingface.co
HF_TOKEN         for what is gated or private
HF_HUB_OFFLINE   1: nothing is fetched`,
  )

function modelDir(): string {
  const { dir } = program.opts<{ dir: string }>()
  if (dir === '') throw new UsageError('--dir needs a folder')
  return resolve(dir)
}

function addTarget(text: string, before: Target[] = []): Target[] {
  const target = parseTarget(text)
  if (!target) throw new InvalidArgumentError(knownTargets(text))
  return before.some(({ name }) => name === target.name) ? before : [...before, target]
}

function knownTargets(text: string): string {
  const model = modelNames.find((name) => text.startsWith(`${name}-`))
  if (model) return `${model} is built in ${entryOf(model).precisions.join(', ')}.`
  return `Known are ${modelNames.join(', ')}, each also with a precision: musicgen-small-fp16.`
}

const targets = () => new Argument('<name...>', 'model').argParser(addTarget)
const from = () => new Option('--from <folder>', "a local checkpoint in Hugging Face's layout, in place of the hub's")

function folderFor(chosen: Target[], folder: string | undefined): string | undefined {
  if (folder === '') throw new UsageError('--from needs a folder')
  if (folder && chosen.length > 1) throw new UsageError('--from is for one model at a time')
  return folder && resolve(folder)
}

program
  .command('list')
  .description('name, kind, precision, license, size, state and origin of every model')
  .action(() => {
    for (const line of describeModels(modelDir())) print(line)
  })

program
  .command('pull')
  .description('fetch checkpoints from the hub, going on from where an earlier pull stopped')
  .addArgument(targets())
  .option('--revision <revision>', "commit, branch or ref in place of the catalogue's")
  .addOption(from())
  .action(async (chosen: Target[], options: { revision?: string; from?: string }) => {
    const folder = folderFor(chosen, options.from)
    if (options.revision && chosen.length > 1) throw new UsageError('--revision is for one model at a time')
    if (options.revision && folder) throw new UsageError('--revision is of the hub, and --from is a folder')
    const interrupt = new AbortController()
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      const next = folder ? 'begins anew' : 'goes on from here'
      process.on(signal, () => interrupt.abort(new Error(`${signal}: the same command ${next}`)))
    }
    for (const model of new Set(chosen.map((target) => target.model))) {
      const done = await pull(model, {
        modelDir: modelDir(),
        from: folder,
        revision: options.revision,
        env: process.env,
        signal: interrupt.signal,
        output: process.stderr,
      })
      print(`${model}: ${done}`)
    }
  })

program
  .command('build')
  .description('build models from their checkpoints; one that is built already is left alone')
  .addArgument(targets())
  .addOption(new Option('--precision <precision>', 'of the weights, in place of the usual one').choices(precisions))
  .addOption(from())
  .option('--force', 'build again what is built already')
  .action(async (named: Target[], options: { precision?: Precision; from?: string; force?: true }) => {
    const folder = folderFor(named, options.from)
    const chosen = named.map((target) => inPrecision(target, options.precision))
    for (const target of chosen) {
      const dir = targetDir(modelDir(), target)
      const state = options.force ? 'absent' : modelState(target, modelDir(), folder)
      if (state === 'built') {
        print(`${target.name}: already built in ${dir}`)
      } else if (state === 'outdated' && !target.entry.source.generated) {
        print(`${target.name}: built in ${dir} by an older builder; to build it again, add --force`)
      } else {
        const start = performance.now()
        await buildModel(target, modelDir(), folder)
        print(`${target.name}: built in ${dir} in ${seconds(start)} s`)
      }
    }
  })

program
  .command('verify')
  .description('compare built models with their manifests, and load each graph once')
  .addArgument(targets())
  .action(async (chosen: Target[]) => {
    for (const { name, entry } of chosen) {
      const faults = await modelFaults(join(modelDir(), name))
      for (const fault of faults) console.error(printable(`${name}: ${fault}`))
      if (faults.length) {
        const folder = isOnHub(entry) || isGenerated(entry) ? '' : ' --from <folder>'
        console.error(`Build it again: npm run models -- build --force ${name}${folder} --dir ${modelDir()}`)
        process.exitCode = 1
      } else print(`${name}: every file is as its manifest says, and every graph as the runner expects it`)
    }
  })

function inPrecision(named: Target, precision: Precision | undefined): Target {
  if (!precision) return named
  const target = targetOf(named.model, precision)
  if (!target) throw new UsageError(`${named.model} is built in ${named.entry.precisions.join(', ')}, not ${precision}`)
  return target
}

await runCommandLine(program)
