import { join, resolve } from 'node:path'
import { Argument, Command } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { buildModel, isBuilt } from './build-model.ts'
import { modelFaults } from './built-model.ts'
import { catalogue, type ModelName, modelNames } from './catalogue.ts'

const print = (line: string) => process.stdout.write(`${line}\n`)

const program = new Command('npm run models --')
  .description('Builds models from checkpoints in the layout of Hugging Face into ONNX graphs.')
  .option('--dir <folder>', 'folder of the built models', process.env.MODEL_DIR || '.local/models')
  .configureHelp({ showGlobalOptions: true })

const modelDir = () => resolve(program.opts<{ dir: string }>().dir)
const names = () => new Argument('<name...>', 'model').choices(modelNames)

program
  .command('list')
  .description('name, kind, license and origin of every model, and whether it is built')
  .action(() => {
    for (const name of modelNames) {
      const { kind, license, source } = catalogue[name]
      const state = isBuilt(name, join(modelDir(), name)) ? 'built' : 'not built'
      print([name.padEnd(24), kind.padEnd(12), license.padEnd(10), state.padEnd(10), origin(source)].join(''))
    }
  })

program
  .command('build')
  .description('build models; one that is built already is left alone')
  .addArgument(names())
  .option('--force', 'build again what is built already')
  .action(async (chosen: ModelName[], { force }: { force?: true }) => {
    for (const name of chosen) {
      const dir = join(modelDir(), name)
      if (!force && isBuilt(name, dir)) {
        print(`${name}: already built in ${dir}`)
        continue
      }
      const start = performance.now()
      await buildModel(name, modelDir())
      print(`${name}: built in ${dir} in ${((performance.now() - start) / 1000).toFixed(1)} s`)
    }
  })

program
  .command('verify')
  .description('compare the files of built models with the sizes and digests of their manifests')
  .addArgument(names())
  .action(async (chosen: ModelName[]) => {
    for (const name of chosen) {
      const faults = await modelFaults(join(modelDir(), name))
      for (const fault of faults) console.error(`${name}: ${fault}`)
      if (faults.length) {
        console.error(`Build it again: npm run models -- build --force ${name}`)
        process.exitCode = 1
      } else print(`${name}: every file is as its manifest says`)
    }
  })

function origin({ repository, revision, generated }: { repository: string; revision: string; generated: boolean }) {
  return generated ? `random weights, ${revision}` : `${repository} at ${revision}`
}

await runCommandLine(program)
