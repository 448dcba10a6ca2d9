import { fileURLToPath } from 'node:url'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { UsageError } from '#shared/command-line.ts'
import { errorCodes } from '#shared/contract/error-code.ts'
import { maxReceived, type Selection } from '#shared/dead-letters/collect.ts'
import { maxReplays } from '#shared/dead-letters/replay.ts'
import type { createPathReader } from '#shared/user-path.ts'
import { readDuration } from './duration.ts'

const codes = [...Object.keys(errorCodes), 'none']
const defaultAudit = fileURLToPath(new URL('../../.local/dlq-audit.jsonl', import.meta.url))

export function addFilters(command: Command): Command {
  return command
    .option('--id <message-id>', 'this message; may be given several times', append)
    .option('--code <code>', 'of this reason; none: dead-lettered by SQS itself; may be given several times', addCode)
    .option('--prefix <prefix>', 'about an image key that begins so')
    .option('--older-than <duration>', 'that failed longer ago: 90s, 30m, 2h, 3d, 1w', readAge)
    .option('--newer-than <duration>', 'that failed since then', readAge)
    .option('--text <text>', 'in body, reason or image key, in whatever case')
}

export function allOption(): Option {
  return new Option('--all', 'every message, in place of a filter')
}

export function limitOption(): Option {
  return new Option('--limit <number>', 'messages at most').argParser(wholeNumber(1, maxReceived))
}

export function rateOption(): Option {
  return new Option('--rate <number>', 'messages a second at most').argParser(rateUpTo(500)).default(10)
}

export function maxReplaysOption(): Option {
  return new Option('--max-replays <number>', 'leave messages that were replayed so often')
    .argParser(wholeNumber(0, 1_000_000))
    .default(maxReplays)
}

export function fromLineOption(): Option {
  return new Option('--from-line <number>', 'go on from there').argParser(wholeNumber(1, 1e9)).default(1)
}

export function jsonOption(): Option {
  return new Option('--json', 'JSON Lines, for programs')
}

export function yesOption(): Option {
  return new Option('--yes', 'do it: the answer to the dry run')
}

export function auditOption(readPath: ReturnType<typeof createPathReader>): Option {
  return new Option('--audit <file>', 'a line of JSON for every message is appended here')
    .argParser(readPath)
    .default(defaultAudit)
}

/** Nothing is changed by a filter that was forgotten. Throws UsageError. */
export function checkSelection({
  all,
  exported,
  ...options
}: Selection & { all?: true; exported?: string | undefined }): void {
  const names = ['id', 'code', 'prefix', 'olderThan', 'newerThan', 'text'] as const
  const filtered = names.some((name) => options[name] !== undefined)
  const ways = [filtered, all, exported !== undefined].filter(Boolean)
  if (ways.length === 1) return
  throw new UsageError('name the messages in one way: by filters such as --code, by --all, or for purge by --exported')
}

function append(text: string, before: string[] = []): string[] {
  return [...before, text]
}

function addCode(text: string, before?: string[]): string[] {
  if (!codes.includes(text)) throw new InvalidArgumentError(`Known are ${codes.join(', ')}.`)
  return append(text, before)
}

export function readAge(text: string): number {
  const age = readDuration(text)
  if (age === undefined) throw new InvalidArgumentError('It must be a number with s, m, h, d or w, such as 30m.')
  return age
}

export function rateUpTo(most: number) {
  return (text: string): number => {
    const rate = Number(text)
    if (rate >= 0.01 && rate <= most) return rate
    throw new InvalidArgumentError(`It must be a number from 0.01 to ${most}.`)
  }
}

function wholeNumber(least: number, most: number) {
  return (text: string): number => {
    const number = Number(text)
    if (Number.isInteger(number) && number >= least && number <= most) return number
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }
}
