/** `npm run synth [-- --stage NAME]`, and what the cdk command runs; its `-c stage=NAME` says the same. */
import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError } from 'commander'
import { createApp } from './app.ts'
import { readStage, StageError } from './stage.ts'

const command = new Command('npm run synth --')
  .description('Writes the CloudFormation templates of one stage to .local/cdk.out, and checks them.')
  .option('--stage <name>', 'a file of cdk/stages')
  .exitOverride()
  .allowExcessArguments(false)
  .action(synth)

try {
  command.parse()
} catch (error) {
  process.exitCode = statusOf(error)
}

function synth({ stage = fromCli().stage ?? 'staging' }: { stage?: string }): void {
  const { app } = createApp(readStage(stage), { outdir: process.env.CDK_OUTDIR ?? emptyFolder() })
  const { stacks } = app.synth()
  for (const { stackName, templateFullPath } of stacks) console.error(`${stackName}: ${templateFullPath}`)
}

/** Without the templates of another stage. */
function emptyFolder(): string {
  const folder = fileURLToPath(new URL('../.local/cdk.out', import.meta.url))
  rmSync(folder, { recursive: true, force: true })
  return folder
}

function fromCli(): { stage?: string } {
  return JSON.parse(process.env.CDK_CONTEXT_JSON ?? '{}')
}

function statusOf(error: unknown): number {
  // Commander has printed its own, and ends with 0 where help was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  console.error(error instanceof StageError ? error.message : error)
  return error instanceof StageError ? 2 : 1
}
