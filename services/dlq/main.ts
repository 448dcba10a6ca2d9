import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError, Option } from 'commander'
import { createSqsClient } from '#shared/aws/clients.ts'
import { runCommandLine, UsageError } from '#shared/command-line.ts'
import { ConfigError, readConfig } from '#shared/config.ts'
import { createPathReader } from '#shared/user-path.ts'
import { maxReceived } from './collect.ts'
import { createDeadLetterQueue } from './dead-letter-queue.ts'
import { type Filter, readDuration } from './filter.ts'
import { listenForInterruption } from './interruption.ts'
import { createMoveTask } from './move-task.ts'
import { createOperator, type Operator } from './operator.ts'

const settingNames = ['AWS_REGION', 'AWS_ENDPOINT_URL', 'QUEUE_URL', 'DLQ_URL'] as const
const defaultAudit = fileURLToPath(new URL('../../.local/dlq-audit.jsonl', import.meta.url))
const readPath = createPathReader(process.env)
const { signal, interrupt } = listenForInterruption(() => process.exit(1))

interface Selection extends Filter {
  all?: true
  limit: number
}

const program = new Command('npm run dlq --')
  .description('Looks into the dead-letter queue, sends messages to the source queue again, or removes them.')
  .addHelpText(
    'after',
    `
Settings: ${settingNames.join(', ')}.

What changes something is a dry run, which says what it would do, until --yes answers that. While a command reads, it
hides the messages from everyone else, and gives them back when it ends; killed, they come back after two minutes. A
Ctrl-C ends it after the message at hand. One run holds ${maxReceived} messages at most: run it again for the rest.

  npm run dlq -- list --code IMAGE_NOT_FOUND --newer-than 2h
  npm run dlq -- replay --code none --rate 5 --yes
  npm run dlq -- export --all --out letters.jsonl`,
  )

addFilters(program.command('list'))
  .description('a table of the messages; nothing is removed')
  .addOption(limitOption(100))
  .option('--json', 'JSON Lines, for programs')
  .action((options: Selection & { json?: true }) => operate((operator) => operator.list(options)))

program
  .command('show')
  .description('everything about one message')
  .argument('<message-id>')
  .action((id: string) => operate((operator) => operator.show(id)))

addFilters(program.command('replay'))
  .description('send messages to the source queue again, then take them off the dead-letter queue')
  .option('--all', 'every message, instead of a filter')
  .addOption(limitOption(maxReceived))
  .option('--rate <number>', 'messages a second', readRate, 10)
  .option('--max-replays <number>', 'leave messages that were replayed so often', readCount, 3)
  .option('--edit', 'edit the body of one message with $VISUAL or $EDITOR first')
  .addOption(
    new Option('--body-file <file>', 'put this body in place of one message’s').argParser(readPath).conflicts('edit'),
  )
  .option('--native', "with --all: SQS's own move task; it moves everything and knows no cap on replays")
  .addOption(yesOption())
  .addOption(auditOption())
  .action((options: ReplayOptions) =>
    operate((operator) => {
      checkSelection(options)
      if (!options.native) {
        const { VISUAL, EDITOR } = process.env
        if (options.edit && !options.yes) throw new UsageError('--edit needs --yes: a dry run would lose what is typed')
        return operator.replay({ ...options, editor: options.edit && (VISUAL || EDITOR || 'vi') })
      }
      if (!options.all) throw new UsageError('--native moves everything, without filters: say --all')
      if (options.edit || options.bodyFile) throw new UsageError('--native changes no message')
      return operator.moveAll(options)
    }),
  )

addFilters(program.command('purge'))
  .description('remove messages for good; export them first')
  .option('--all', 'every message, instead of a filter')
  .addOption(limitOption(maxReceived))
  .addOption(yesOption())
  .addOption(auditOption())
  .action((options: Selection & { yes?: true; audit: string }) =>
    operate((operator) => {
      checkSelection(options)
      return operator.purge(options)
    }),
  )

addFilters(program.command('export'))
  .description('write messages as JSON Lines: body, attributes and system attributes; nothing is removed')
  .option('--all', 'every message, which is also the default')
  .addOption(limitOption(maxReceived))
  .option('--out <file>', 'a new file, instead of standard output', readPath)
  .action((options: Selection & { out?: string }) => operate((operator) => operator.export(options)))

program
  .command('import')
  .description('send messages that were exported; none of them when a line is not valid')
  .argument('<file>', 'JSON Lines', readPath)
  .option('--to-queue', 'to the source queue, as a replay, instead of the dead-letter queue')
  .option('--from-line <number>', 'go on from there', readCount, 1)
  .option('--rate <number>', 'messages a second', readRate, 10)
  .addOption(yesOption())
  .addOption(auditOption())
  .action((file: string, options: ImportOptions) => operate((operator) => operator.import({ ...options, file })))

// A reader that is gone, such as `head`, ends a command as Ctrl-C does.
await runCommandLine(program, { stop: () => interrupt('the output is lost') })

type ReplayOptions = Selection & {
  rate: number
  maxReplays: number
  edit?: true
  bodyFile?: string
  native?: true
  yes?: true
  audit: string
}
type ImportOptions = { toQueue?: true; fromLine: number; rate: number; yes?: true; audit: string }

async function operate(work: (operator: Operator) => Promise<void>): Promise<void> {
  const config = readConfig(settingNames, process.env)
  const { QUEUE_URL: queueUrl, DLQ_URL: dlqUrl } = config
  if (queueUrl === dlqUrl) throw new ConfigError(['DLQ_URL is the same as QUEUE_URL: they are two queues'])
  const sqs = createSqsClient({ region: config.AWS_REGION, endpoint: config.AWS_ENDPOINT_URL })
  try {
    const queues = { sqs, queueUrl, dlqUrl }
    const operator = createOperator({
      queue: createDeadLetterQueue(queues),
      moveTask: createMoveTask(queues),
      signal,
      print: (line) => process.stdout.write(`${line}\n`),
      say: (line) => process.stderr.write(`${line}\n`),
      complain: (line) => {
        process.stderr.write(`${line}\n`)
        process.exitCode = 1
      },
    })
    await work(operator)
  } finally {
    sqs.destroy()
  }
}

function addFilters(command: Command): Command {
  return command
    .option('--id <message-id>', 'this message; may be given several times', append)
    .option(
      '--code <code>',
      'with this reason code; none: dead-lettered by SQS itself; may be given several times',
      append,
    )
    .option('--prefix <prefix>', 'about an image key that begins so')
    .option('--older-than <duration>', 'that failed longer ago: 90s, 30m, 2h, 3d, 1w', readAge)
    .option('--newer-than <duration>', 'that failed since then', readAge)
    .option('--text <text>', 'in body, reason or image key, in whatever case')
}

function limitOption(most: number): Option {
  return new Option('--limit <number>', 'messages at most').argParser(readLimit).default(most)
}

function yesOption(): Option {
  return new Option('--yes', 'do it: the answer to what the dry run asks')
}

function auditOption(): Option {
  return new Option('--audit <file>', 'the trail: one line of JSON per message is appended')
    .argParser(readPath)
    .default(defaultAudit)
}

function checkSelection({ all, ...options }: Selection): void {
  const names = ['id', 'code', 'prefix', 'olderThan', 'newerThan', 'text'] as const
  const filtered = names.some((name) => options[name] !== undefined)
  if (filtered === Boolean(all)) throw new UsageError('name the messages: by filters such as --code, or by --all')
}

function append(text: string, before: string[] = []): string[] {
  return [...before, text]
}

function readAge(text: string): number {
  const milliseconds = readDuration(text)
  if (milliseconds === undefined)
    throw new InvalidArgumentError('It must be a number with s, m, h, d or w, such as 30m.')
  return milliseconds
}

function readLimit(text: string): number {
  return readWhole(text, 1, maxReceived)
}

function readCount(text: string): number {
  return readWhole(text, 0, 1_000_000)
}

function readRate(text: string): number {
  const rate = Number(text)
  if (!(rate >= 0.01 && rate <= 500)) throw new InvalidArgumentError('It must be a number from 0.01 to 500.')
  return rate
}

function readWhole(text: string, least: number, most: number): number {
  const number = Number(text)
  if (Number.isInteger(number) && number >= least && number <= most) return number
  throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
}
