/** `npm test [-- file or pattern...]`: runs the tests; the last line on standard output is the runner's own count. */
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { provideMariadb } from '../services/local/mariadb.ts'

const badUsage = 2
const fileMilliseconds = 10 * 60_000

const patterns = process.argv.slice(2)
const files = globSync(patterns.length ? patterns : ['test/**/*.test.ts']).sort()
if (files.length === 0) {
  console.error(`no test file matches ${patterns.join(' ')}`)
  process.exit(badUsage)
}
await provideMariadb((line) => console.error(line))

let count = 'the tests did not run to their end'
process.exitCode = 1
const results = run({ files, concurrency: Math.max(1, Math.min(4, availableParallelism())), timeout: fileMilliseconds })
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
