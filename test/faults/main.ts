import { Command, InvalidArgumentError, Option } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { closeChildren } from '../../services/local/child.ts'
import { provideMariadb } from '../../services/local/mariadb.ts'
import type { Report } from './run.ts'
import { runScenario, type ScenarioName, scenarios } from './scenario.ts'

let stopping = false
const interrupted = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }

const command = new Command('npm run test:faults --')
  .description(
    'Starts the local stack and several consumers, uploads pictures while faults happen by a plan that follows from the ' +
      'seed, waits until all is at rest, and checks that nothing is lost and nothing done twice.',
  )
  .addOption(new Option('--scenario <name>', 'what happens').choices(Object.keys(scenarios)).default('chaos'))
  .option('--minutes <number>', 'how long uploads and faults go on', readMinutes, 5)
  .option('--seed <number>', 'of the plan', readSeed, 1)
  .option('--json', 'print one JSON object')
  .addHelpText(
    'after',
    `\nScenarios:\n${Object.entries(scenarios)
      .map(([name, { description }]) => `  ${name.padEnd(8)} ${description}`)
      .join('\n')}`,
  )
  .action(async (options: { scenario: ScenarioName; minutes: number; seed: number; json?: boolean }) => {
    await provideMariadb((line) => console.error(line))
    const { scenario, minutes, seed, json } = options
    const report = await runScenario({ scenario, seconds: minutes * 60, seed, say })
    console.log(json ? JSON.stringify(report) : describe(report))
    if (report.violations.length === 0) return
    console.error(`seed ${seed}, scenario ${scenario}, ${minutes} minutes:\n  ${report.violations.join('\n  ')}`)
    process.exitCode = 1
  })

for (const [signal, status] of Object.entries(interrupted)) {
  process.on(signal, () => stop(status))
}

await runCommandLine(command, { stop })

function stop(status: number): void {
  if (stopping) return
  stopping = true
  void closeChildren().finally(() => process.exit(status))
}

/** What ends because it is stopped is no news. */
function say(line: string): void {
  if (!stopping) console.error(line)
}

function describe(report: Report): string {
  const list = (counts: Record<string, number>) =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ') || 'none'
  return [
    `uploads ${report.uploads}, versions ${report.versions}, events sent again ${report.copies}`,
    `faults: ${list(report.faults)}`,
    `succeeded ${report.succeeded}, failed: ${list(report.failed)}`,
    `at rest ${report.settledAfterSeconds.toFixed(0)} s after the last fault or upload, ${report.seconds.toFixed(0)} s in all`,
    `duplicates ${report.duplicates}, lost ${report.lost}, violations ${report.violations.length}`,
  ].join('\n')
}

function readMinutes(text: string): number {
  const minutes = Number(text)
  if (minutes > 0 && minutes <= 24 * 60) return minutes
  throw new InvalidArgumentError('Expected a number of minutes, at most a day.')
}

function readSeed(text: string): number {
  const seed = Number(text)
  if (Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32) return seed
  throw new InvalidArgumentError('Expected a whole number from 0 to 4294967295.')
}
