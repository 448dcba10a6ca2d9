/** `npm test [-- file or pattern...]`: runs the tests; the last line on standard output is the runner's own count. */
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { Command } from 'commander'
import { runCommandLine, UsageError } from '#shared/command-line.ts'
import { provideMariadb } from '../services/local/mariadb.ts'
import { provideChromium } from './web/chromium.ts'

// For the tests that run graphs themselves.
process.env.ORT_DISABLE_TELEMETRY ??= '1'

const fileMilliseconds = 10 * 60_000

const command = new Command('npm test --')
  .description("Runs the tests; the last line on standard output is the runner's own count.")
  .argument('[pattern...]', 'test files, as paths or patterns; all of them when absent')
  .action(test)

await runCommandLine(command)

async function test(patterns: string[]): Promise<void> {
  const files = globSync(patterns.length ? patterns : ['test/**/*.test.ts']).sort()
  if (files.length === 0) throw new UsageError(`no test file matches ${patterns.join(' ')}`)
  const say = (line: string) => console.error(line)
  await provideMariadb(say)
  if (files.some((file) => !relative('test/web', file).startsWith('..'))) await provideChromium(say)

  let count = 'the tests did not run to their end'
  process.exitCode = 1
  // Much of a test is waiting: for databases, browsers and queues.
  const concurrency = Math.max(2, Math.min(4, availableParallelism() + 1))
  const results = run({ files, concurrency, timeout: fileMilliseconds })
  results.on('test:summary', ({ file, counts, success }) => {
    // The summaries of the single files come first.
    if (file !== undefined) return
    const { tests, passed, cancelled, skipped, todo } = counts
    const failed = tests - passed - cancelled - skipped - todo
    const rest = Object.entries({ cancelled, skipped, todo }).filter(([, number]) => number > 0)
    const all = [['tests', tests], ['pass', passed], ['fail', failed], ...rest]
    count = all.map((pair) => pair.join(' ')).join(', ')
    process.exitCode = success ? 0 : 1
  })
  for await (const line of results.compose(spec())) process.stdout.write(line)
  console.log(count)
}
