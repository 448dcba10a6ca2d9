import { Command, Option } from 'commander'
import { createSqsClient } from '#shared/aws/clients.ts'
import { runCommandLine, UsageError } from '#shared/command-line.ts'
import { readConfig } from '#shared/config.ts'
import { maxReceived, type Selection } from '#shared/dead-letters/collect.ts'
import { createDeadLetterQueue } from '#shared/dead-letters/dead-letter-queue.ts'
import { listenForInterruption } from '#shared/interruption.ts'
import { createPathReader } from '#shared/user-path.ts'
import { editBody } from './body-editor.ts'
import { importLetters } from './import-letters.ts'
import { createMoveTask, type MoveTask, moveAll } from './move-task.ts'
import {
  addFilters,
  allOption,
  auditOption,
  checkSelection,
  fromLineOption,
  jsonOption,
  limitOption,
  maxReplaysOption,
  rateOption,
  yesOption,
} from './options.ts'
import { purge } from './purge.ts'
import { addReconcile } from './reconcile.ts'
import { replay } from './replay.ts'
import { createSession, type Session } from './session.ts'
import { refuseSourceQueue } from './source-queue.ts'
import { exportLetters, list, show } from './views.ts'

const settingNames = ['AWS_REGION', 'AWS_ENDPOINT_URL', 'QUEUE_URL', 'DLQ_URL'] as const
/** For all that tell of messages. */
interface Output {
  json?: true
}

const readPath = createPathReader(process.env)
const interruption = listenForInterruption(() => process.exit(1))

const program = new Command('npm run dlq --')
  .description(
    'Looks into the dead-letter queue, sends messages to the source queue again, or removes them; finds what was lost.',
  )
  .addHelpText(
    'after',
    `
Settings: ${settingNames.join(', ')}.

What changes something is a dry run that says what it would do, until --yes answers it. While a command reads, it hides
the messages from everyone else, and gives them back when it ends; killed, they come back after two minutes. Ctrl-C ends
it after the message at hand. One run holds ${maxReceived} messages at most: run it again for the rest. What another hides
it does not read: it says about how many SQS counts besides, and an export then ends with status 1.

  npm run dlq -- list --code IMAGE_NOT_FOUND --newer-than 2h
  npm run dlq -- replay --code none --rate 5 --yes
  npm run dlq -- export --all --out letters.jsonl
  npm run dlq -- purge --exported letters.jsonl --yes`,
  )

addFilters(program.command('list'))
  .description('a table of the messages; nothing is removed')
  .addOption(limitOption().default(100))
  .addOption(jsonOption())
  .action((options: Selection & Output) => run(options, (session) => list(session, options)))

program
  .command('show')
  .description('everything about one message')
  .argument('<message-id>')
  .addOption(jsonOption())
  .action((id: string, options: Output) => run(options, (session) => show(session, id)))

type ReplayOptions = Omit<Parameters<typeof replay>[1], 'edit'> & { all?: true; edit?: true; native?: true }

addFilters(program.command('replay'))
  .description('send messages to the source queue again, then take them off the dead-letter queue')
  .addOption(allOption())
  .addOption(limitOption())
  .addOption(rateOption())
  .addOption(maxReplaysOption())
  .option('--edit', 'edit the body of one message with $VISUAL or $EDITOR first')
  .addOption(new Option('--body-file <file>', 'the body for one message').argParser(readPath).conflicts('edit'))
  .option('--native', "with --all: SQS's own move task, which moves everything and knows no cap on replays")
  .addOption(yesOption())
  .addOption(auditOption(readPath))
  .addOption(jsonOption())
  .action((options: ReplayOptions & Output) =>
    run(options, (session, moveTask) => {
      checkSelection(options)
      if (options.native) return moveAll(session, { ...checkNative(options), moveTask })
      if (options.edit && !options.yes) throw new UsageError('--edit needs --yes: a dry run would lose what is typed')
      return replay(session, { ...options, edit: options.edit && edit })
    }),
  )

addFilters(program.command('purge'))
  .description('remove messages for good; export them first, and then remove those that are exported')
  .addOption(allOption())
  .option('--exported <file>', 'the messages that export wrote there, and no others, in place of a filter', readPath)
  .addOption(limitOption())
  .addOption(yesOption())
  .addOption(auditOption(readPath))
  .addOption(jsonOption())
  .action((options: Parameters<typeof purge>[1] & Output) =>
    run(options, (session) => {
      checkSelection(options)
      return purge(session, options)
    }),
  )

addFilters(program.command('export'))
  .description('write messages as JSON Lines: body, attributes and system attributes; nothing is removed')
  .addOption(allOption())
  .addOption(limitOption())
  .option('--out <file>', 'a new file, in place of standard output', readPath)
  .action((options: Parameters<typeof exportLetters>[1]) =>
    run({}, (session) => {
      checkSelection(options)
      return exportLetters(session, options)
    }),
  )

program
  .command('import')
  .description('send messages that were exported; none of them when a line is not valid')
  .argument('<file>', 'JSON Lines', readPath)
  .option('--to-queue', 'to the source queue, as a replay, in place of the dead-letter queue')
  .addOption(fromLineOption())
  .addOption(rateOption())
  .addOption(yesOption())
  .addOption(auditOption(readPath))
  .action((file: string, options: Parameters<typeof importLetters>[2]) =>
    run({}, (session) => importLetters(session, file, options)),
  )

addReconcile(program, {
  env: process.env,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: interruption.signal,
  setExitCode: (status) => {
    process.exitCode = status
  },
})

// A reader that is gone, such as `head`, ends a command as Ctrl-C does.
await runCommandLine(program, { stop: () => interruption.interrupt('the output is lost') })

async function run({ json }: Output, work: (session: Session, moveTask: MoveTask) => Promise<void>): Promise<void> {
  const config = readConfig(settingNames, process.env)
  const { QUEUE_URL: queueUrl, DLQ_URL: dlqUrl } = config
  const sqs = createSqsClient({ region: config.AWS_REGION, endpoint: config.AWS_ENDPOINT_URL })
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  try {
    const queues = { sqs, queueUrl, dlqUrl }
    await refuseSourceQueue(queues)
    const session = createSession({
      queue: createDeadLetterQueue(queues),
      json,
      signal: interruption.signal,
      print: (line) => void process.stdout.write(`${line}\n`),
      say,
      complain: (line) => {
        say(line)
        process.exitCode = 1
      },
    })
    await work(session, createMoveTask(queues))
  } finally {
    sqs.destroy()
  }
}

function checkNative(options: ReplayOptions): ReplayOptions {
  const { all, edit, bodyFile, limit } = options
  if (!all || limit !== undefined)
    throw new UsageError('--native moves everything: say --all, without a filter or limit')
  if (edit || bodyFile) throw new UsageError('--native changes no message')
  return options
}

function edit(body: string): Promise<string> {
  const { VISUAL, EDITOR } = process.env
  return interruption.ignoring(() => editBody(body, VISUAL || EDITOR || 'vi'))
}
