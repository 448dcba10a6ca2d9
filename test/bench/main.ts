import { Command, InvalidArgumentError } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { provideMariadb } from '../../services/local/mariadb.ts'
import { benchClassifier } from './classifier.ts'
import { benchPipeline } from './pipeline.ts'

const ms = (value: number) => `${value.toFixed(0)} ms`
const perSecond = (value: number) => `${value.toFixed(0)} messages/s`

const command = new Command('npm run bench --')
  .description('Measures Promenade on this machine.')
  .configureHelp({ showGlobalOptions: true })

command
  .command('pipeline')
  .description('what the pipeline costs without inference: time from PUT to result, and messages per second')
  .option('--pictures <number>', 'pictures for each of the measurements', readCount, 100)
  .option('--json', 'print one JSON object')
  .action(async ({ pictures, json }: { pictures: number; json?: boolean }) => {
    await provideMariadb((line) => console.error(line))
    const figures = await benchPipeline({ pictures })
    if (json) return console.log(JSON.stringify(figures))
    const { put_to_result_ms: latency, ratio } = figures
    console.log(`PUT to readable result, ${pictures} pictures, one at a time`)
    console.log(`  median ${ms(latency.median)}, p95 ${ms(latency.p95)}, max ${ms(latency.max)}`)
    console.log('From a full queue')
    console.log(`  pipeline           ${perSecond(figures.pipeline_messages_per_second)}`)
    console.log(`  bare sqs-consumer  ${perSecond(figures.bare_sqs_consumer_messages_per_second)}`)
    console.log(`  ratio              ${ratio.toFixed(2)}`)
  })

command
  .command('classifier')
  .description('a full-size classifier beside transformers.js on the same graph, and how long preparing blocks')
  .option('--pictures <number>', 'pictures for each of the measurements', readCount, 20)
  .option('--json', 'print one JSON object')
  .action(async ({ pictures, json }: { pictures: number; json?: boolean }) => {
    const figures = await benchClassifier({ pictures })
    if (json) return console.log(JSON.stringify(figures))
    const { width, height } = figures.picture_pixels
    console.log(`ViT-B/32 in fp32, ${pictures} JPEG pictures of ${width} x ${height}, one at a time`)
    for (const [name, side] of [
      ['ours', figures.ours],
      ['transformers.js', figures.transformers_js],
    ] as const) {
      const { preprocess_ms: prepare, run_ms: run, peak_mib: peak } = side
      console.log(`  ${name.padEnd(16)} prepare ${ms(prepare)}, run ${ms(run)}, peak memory ${peak.toFixed(0)} MiB`)
    }
    console.log(`  ratio            ${figures.ratio.toFixed(2)}`)
    console.log('Longest time that preparing a picture keeps the thread from anything else')
    for (const [pixels, block] of Object.entries(figures.longest_block_ms)) {
      console.log(`  ${pixels.padEnd(16)} ${ms(block)}`)
    }
  })

await runCommandLine(command)

function readCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > 10_000) {
    throw new InvalidArgumentError('Expected a whole number from 1 to 10000.')
  }
  return count
}
