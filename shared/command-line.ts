import { inspect } from 'node:util'
import { type Command, CommanderError } from 'commander'
import { ConfigError } from './config.ts'
import { printable } from './printable.ts'

/** What the user asked for cannot be done as asked; the message is one line for them. */
export class UsageError extends Error {
  override name = 'UsageError'
}

interface CommandLineOptions {
  /** Ends what was begun, and then the process, when its output is lost. At once when absent. */
  stop?(status: number): void
}

/** 128 and the number of SIGPIPE: how a shell has a command end whose reader is gone. */
const readerGone = 141

/**
 * Runs a command line to the exit status of the process: 2 for bad usage or settings, 1 for any other failure, else what
 * the action has set. What went wrong is on standard error, without a stack trace.
 */
export async function runCommandLine(
  program: Command,
  { stop = (status) => process.exit(status) }: CommandLineOptions = {},
): Promise<void> {
  watchOutput(stop)
  for (const command of [program, ...program.commands]) {
    command.exitOverride().allowExcessArguments(false).showSuggestionAfterError(false)
  }
  try {
    await program.parseAsync()
  } catch (error) {
    process.exitCode = statusOf(error)
  }
}

/** A reader that has gone, such as `head`, has what it wanted; that the disk is full is told. */
function watchOutput(stop: (status: number) => void): void {
  let lost = false
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (lost) return
    lost = true
    if (error.code === 'EPIPE') return stop(readerGone)
    console.error(`standard output cannot be written: ${error.message}`)
    stop(1)
  })
  // There is nowhere left to say it, and the work goes on without.
  process.stderr.on('error', () => {})
}

function statusOf(error: unknown): number {
  // Commander has printed its own, and ends with 0 where help was asked for.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  // A mistake of ours, and not of the user's or of the world, says where it is.
  const isBug = error instanceof TypeError || error instanceof ReferenceError
  const text = error instanceof Error && !isBug ? error.message : inspect(error)
  console.error(text.split('\n').map(printable).join('\n'))
  return error instanceof ConfigError || error instanceof UsageError ? 2 : 1
}
