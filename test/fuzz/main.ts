/** `npm run test:fuzz`: mutated pictures, messages and requests, more than the tests have time for. */
import { Command, InvalidArgumentError } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { provideMariadb } from '../../services/local/mariadb.ts'
import { formatTable } from '../bench/table.ts'
import { fuzz } from './fuzz.ts'

interface Options {
  seed: number
  pictures: number
  messages: number
  stack: number
  requests: number
  picture?: number
  message?: number
  request?: number
}

const command = new Command('npm run test:fuzz --')
  .description(
    'Gives mutated pictures and messages to the decoder and to the reader of messages, and some of them to the whole ' +
      'local stack; and requests to the API. Each must be read or refused with a code. The exit status is 1 when one is not.',
  )
  .option('--pictures <number>', 'mutated pictures', readNumber, 2_000)
  .option('--messages <number>', 'mutated messages', readNumber, 1_000)
  .option('--stack <number>', 'of each, as many go through the local stack besides', readNumber, 300)
  .option('--requests <number>', 'mutated requests', readNumber, 5_000)
  .option('--seed <number>', 'the same seed makes the same cases', readNumber, 1)
  .option('--picture <number>', 'this picture alone', readNumber)
  .option('--message <number>', 'this message alone', readNumber)
  .option('--request <number>', 'this request alone', readNumber)
  .action(run)

await runCommandLine(command)

async function run({ seed, picture, message, request, ...counts }: Options): Promise<void> {
  const isOne = [picture, message, request].some((number) => number !== undefined)
  const range = (count: number, one: number | undefined) =>
    isOne ? { from: one ?? 0, count: one === undefined ? 0 : 1 } : { from: 0, count }
  const requests = range(counts.requests, request)
  if (counts.stack > 0 || requests.count > 0) await provideMariadb((line) => console.error(line))
  const startedAt = performance.now()
  const { findings, peakMemory } = await fuzz({
    seed,
    pictures: range(counts.pictures, picture),
    messages: range(counts.messages, message),
    stack: request === undefined ? counts.stack : 0,
    requests,
    hostile: !isOne && counts.pictures > 0,
  })
  const rows = findings.rows()
  const results = [...new Set(rows.flatMap((row) => [...row.results.keys()]))].sort()
  const count = (value: number | undefined) => String(value ?? '')
  const columns = results.map((result) => [result.replace(/^IMAGE_|^MESSAGE_/, ''), result] as const)
  console.log(
    formatTable(rows, {
      ' ': ({ group }) => group,
      ...Object.fromEntries(
        columns.map(([title, result]) => [title, (row: (typeof rows)[0]) => count(row.results.get(result))]),
      ),
    }),
  )
  const { milliseconds, what } = findings.slowest()
  const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`
  console.log(`slowest: ${milliseconds.toFixed(0)} ms, ${what}`)
  console.log(`peak memory of the decoder: ${mib(peakMemory.mutated)}; with the hostile ones ${mib(peakMemory.all)}`)
  console.log(
    `seed ${seed}, ${((performance.now() - startedAt) / 1000).toFixed(0)} s, faults: ${findings.faults.length}`,
  )
  for (const fault of findings.faults) console.error(fault)
  if (findings.faults.length) process.exitCode = 1
}

function readNumber(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 0 || number > 10_000_000) {
    throw new InvalidArgumentError('Expected a whole number from 0 to 10000000.')
  }
  return number
}
