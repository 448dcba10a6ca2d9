import { Command, InvalidArgumentError, Option } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { provideMariadb } from '../../services/local/mariadb.ts'
import { benchApi } from './api.ts'
import { benchClassifier } from './classifier.ts'
import { benchMusicgen, benchQuantisation, type MusicgenBench } from './musicgen.ts'
import { type Size, sizes } from './musicgen-shape.ts'
import type { Precision } from './musicgen-task.ts'
import { benchPipeline } from './pipeline.ts'
import { benchScaler } from './scaler.ts'
import { formatTable } from './table.ts'

const ms = (value: number) => `${value.toFixed(0)} ms`
const say = (line: string) => console.error(line)
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
  .command('api')
  .description('requests per second of the API beside a bare Fastify route, and many clients that wait for one result')
  .option('--results <number>', 'finished results in the database', readCount, 100_000)
  .option('--seconds <number>', 'length of each of three rounds', readCount, 5)
  .option('--clients <number>', 'that wait at once; the API holds 1,000 of one key', readCount, 500)
  .option('--json', 'print one JSON object')
  .action(async ({ json, ...options }: { results: number; seconds: number; clients: number; json?: boolean }) => {
    await provideMariadb(say)
    const figures = await benchApi(options, say)
    if (json) return console.log(JSON.stringify(figures))
    console.log(`${figures.results} results, ${figures.connections} connections`)
    console.log(
      formatTable(figures.rows, {
        what: (row) => row.name,
        'requests/s': (row) => row.requests_per_second.toFixed(0),
        'p50 ms': (row) => row.p50_ms.toFixed(0),
        'p99 ms': (row) => row.p99_ms.toFixed(0),
        'of bare': (row) => `${(100 * row.ratio).toFixed(0)} %`,
      }),
    )
    const { waiting } = figures
    console.log(
      `${waiting.clients} clients that wait for one job: told of its end after ${ms(waiting.median_ms)} (median), ` +
        `${ms(waiting.max_ms)} (last), with ${waiting.queries_per_second.toFixed(1)} queries a second`,
    )
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

const precisions = ['fp32', 'fp16', 'int8', 'int4'] as const
const modelOption = () => new Option('--model <size>', 'dimensions').choices(sizes).default('small')
const providersOption = () =>
  new Option('--providers <list>', 'of ONNX Runtime, in order').argParser(readNames).default(['cpu'], 'cpu')

command
  .command('musicgen')
  .description(
    'seconds per clip, beside one call per step in float32 and beside what memory allows; random weights of full size ' +
      'are made under .local/bench and removed at the end (small: 6 GB, medium: 20 GB)',
  )
  .addOption(modelOption())
  .addOption(new Option('--precision <name>', 'of the weights').choices(precisions).default('int8'))
  .option('--batch <list>', 'clips at once', readBatches, [1])
  .option('--seconds <number>', 'length of a clip', readSeconds, 10)
  .option('--no-baseline', 'leave out the float32 model, one call per step')
  .addOption(providersOption())
  .option('--json', 'print one JSON object')
  .action(async (options: MusicgenOptions) => {
    const { batch: batches, providers: executionProviders, json, ...rest } = options
    const figures = await benchMusicgen({ ...rest, batches, executionProviders }, say)
    if (json) return console.log(JSON.stringify(figures))
    console.log(`${rest.model} ${rest.precision}, clips of ${rest.seconds} s, ${figures.machine}`)
    if (figures.baseline_step_ms)
      console.log(`float32, one call per step: ${figures.baseline_step_ms.toFixed(1)} ms/step`)
    const number = (digits: number) => (value: number | null) => value?.toFixed(digits) ?? '-'
    console.log(
      formatTable(figures.rows, {
        batch: (row) => String(row.batch),
        's/clip': (row) => number(2)(row.seconds_per_clip),
        'x real time': (row) => number(2)(row.times_real_time),
        'ms/step': (row) => number(1)(row.step_ms),
        'x baseline': (row) => number(1)(row.ratio_to_baseline),
        'floor ms': (row) => number(1)(row.floor_ms),
        'x floor': (row) => number(2)(row.ratio_to_floor),
        'GB/s': (row) => number(1)(row.bandwidth_bytes_per_second / 1e9),
        'T5 s': (row) => number(2)(row.text_encoder_seconds),
        'EnCodec s': (row) => number(2)(row.audio_decoder_seconds),
        'peak MB': (row) => number(0)(row.peak_bytes / 1e6),
      }),
    )
  })

command
  .command('quantisation')
  .description('what lower precisions lose against float32 in 64 greedy steps, with random weights of full size')
  .addOption(modelOption())
  .addOption(
    new Option('--precision <list>', 'of the weights')
      .argParser((text) => readNames(text).map(readPrecision))
      .default(['int8', 'int4'], 'int8,int4'),
  )
  .addOption(providersOption())
  .option('--json', 'print one JSON object')
  .action(async (options: { model: Size; precision: Precision[]; providers: string[]; json?: boolean }) => {
    const { model, precision, providers: executionProviders, json } = options
    const figures = await benchQuantisation({ model, precisions: precision, executionProviders }, say)
    if (json) return console.log(JSON.stringify(figures))
    console.log(
      formatTable(figures.rows, {
        precision: (row) => row.precision,
        'logit error': (row) => `${(100 * row.relative_logit_error).toFixed(2)} %`,
        'same tokens': (row) => `${(100 * row.token_agreement).toFixed(1)} %`,
        'PCM dB': (row) => row.pcm_decibels?.toFixed(1) ?? 'same',
      }),
    )
  })

command
  .command('scaler')
  .description('a simulated day of pictures with pods that follow the queue, beside pods that are always on')
  .option('--json', 'print one JSON object')
  .action(async ({ json }: { json?: boolean }) => {
    const figures = await benchScaler({ seeds: [1, 2, 3] })
    if (json) return console.log(JSON.stringify(figures))
    console.log(`Target ${figures.target_seconds} s, $${figures.usd_per_hour.toFixed(2)} an hour and pod`)
    console.log(
      formatTable(figures.rows, {
        '': (row) => row.name,
        pictures: (row) => String(row.pictures),
        $: (row) => row.usd.toFixed(2),
        'oracle $': (row) => row.oracle_usd.toFixed(2),
        'median s': (row) => String(row.seconds.median),
        'p95 s': (row) => String(row.seconds.p95),
        'max s': (row) => String(row.seconds.max),
        'bursts s': (row) => row.burst_seconds.join(', '),
        'most pods': (row) => String(row.most_pods),
        ordered: (row) => String(row.ordered),
      }),
    )
  })

await runCommandLine(command)

interface MusicgenOptions extends Omit<MusicgenBench, 'batches' | 'executionProviders'> {
  batch: number[]
  providers: string[]
  json?: boolean
}

function readList(text: string): string[] {
  return text.split(',').filter(Boolean)
}

function readNames(text: string): string[] {
  const names = readList(text)
  if (names.length) return names
  throw new InvalidArgumentError('Expected one name, or several with commas between them.')
}

function readBatches(text: string): number[] {
  const batches = readList(text).map(Number)
  if (batches.length && batches.every((batch) => Number.isInteger(batch) && batch >= 1 && batch <= 64)) return batches
  throw new InvalidArgumentError('Expected whole numbers from 1 to 64, such as 1,2,4.')
}

function readSeconds(text: string): number {
  const seconds = Number(text)
  if (seconds >= 0.02 && seconds <= 30) return seconds
  throw new InvalidArgumentError('Expected 0.02 to 30.')
}

function readPrecision(text: string): Precision {
  const found = precisions.find((name) => name === text)
  if (found) return found
  throw new InvalidArgumentError(`Expected of ${precisions.join(', ')}.`)
}

function readCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > 1_000_000) {
    throw new InvalidArgumentError('Expected a whole number from 1 to 1000000.')
  }
  return count
}
