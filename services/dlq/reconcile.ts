import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import pLimit from 'p-limit'
import { createS3Client, createSqsClient } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { createQueue } from '#shared/aws/queue.ts'
import { readConfig } from '#shared/config.ts'
import { uploadsPrefix } from '#shared/contract/key.ts'
import { s3Notification } from '#shared/contract/s3-notification.ts'
import { takeOrderOf } from '#shared/contract/take-order.ts'
import { openDatabase } from '#shared/db/client.ts'
import { databaseAddress, databaseSettings } from '#shared/db/connection.ts'
import { createJobInventory } from '#shared/db/job-inventory.ts'
import { printable } from '#shared/printable.ts'
import { jsonLine } from './json-line.ts'
import { rateUpTo, readAge } from './options.ts'
import { createOrphans, type Orphan } from './orphans.ts'

const settingNames = ['AWS_REGION', 'AWS_ENDPOINT_URL', 'BUCKET', 'QUEUE_URL', 'DLQ_URL', ...databaseSettings] as const

const principal = 'promenade-reconcile'
/** Orphans mended at once. */
const concurrency = 8

interface ReconcileOptions {
  yes?: true
  prefix: string
  olderThan: number
  rate: number
  verifyBytes?: true
  deleteOrphanMusic?: true
  json?: true
}

/** `found`: nothing was to be done. `changed`: it was no longer as found. `left`: it cannot be mended so. */
type Outcome = 'found' | 'mended' | 'changed' | 'left'
type Settled = Orphan & { outcome: Outcome }
type Seen = ReturnType<typeof createOrphans>['seen']

interface Surroundings {
  env: NodeJS.ProcessEnv
  stdout: NodeJS.WritableStream
  stderr: NodeJS.WritableStream
  signal: AbortSignal
  setExitCode(status: number): void
}

/** Adds `reconcile` to a program. */
export function addReconcile(program: Command, surroundings: Surroundings): void {
  program
    .command('reconcile')
    .description('find pictures, jobs, rows and music that lack their other half; with --yes, mend them')
    .option('--yes', 'mend what is found; without it nothing is changed')
    .option('--prefix <prefix>', 'only pictures whose keys begin so', readPrefix, uploadsPrefix)
    .addOption(
      new Option('--older-than <time>', 'leave alone what is younger: 90s, 15m, 2h, 1d')
        .argParser(readSeconds)
        .default(15 * 60, '15m'),
    )
    .option('--rate <number>', 'events sent per second at most', rateUpTo(10_000), 50)
    .option('--verify-bytes', 'read all music and compare it with the digest in its row')
    .option('--delete-orphan-music', 'with --yes, delete music_without_row')
    .option('--json', 'JSON Lines, for programs')
    .addHelpText('after', help)
    .action((options: ReconcileOptions) => reconcile(options, surroundings))
}

const help = `
picture_without_job  its event was lost
picture_not_newest   an older upload is answered in its place: its event was lost, the same bytes being known
job_stuck            queued, or its lease over, with nobody at work; also a take whose order was never sent
job_without_row, row_without_music, music_differs
                     a success that is not whole; the music is made again, under the same name and in the same row
music_without_row    of no job, of a canceled one, or of a failed one whose picture is gone or overwritten

Failed jobs are left alone, and counted. Run again after an interruption, or at any time: an event too many does no
harm. Where pictures wait in the queue for longer than --older-than, they count as lost.

Exit status: 0 nothing is wrong, or all is mended; 1 orphans are left, or it failed; 2 bad usage or settings.
Settings: ${settingNames.join(', ')}.`

/** What is opened here is closed here. */
async function reconcile(options: ReconcileOptions, { env, stdout, stderr, signal, setExitCode }: Surroundings) {
  const config = readConfig(settingNames, env)
  const {
    AWS_REGION: region,
    AWS_ENDPOINT_URL: endpoint,
    BUCKET: bucket,
    QUEUE_URL: queueUrl,
    DLQ_URL: dlqUrl,
  } = config
  const database = openDatabase(await databaseAddress(config))
  const s3 = createS3Client({ region, endpoint })
  const sqs = createSqsClient({ region, endpoint })
  try {
    const queue = createQueue({ sqs, queueUrl, dlqUrl })
    const { visible, inFlight } = await queue.depth()
    if (visible + inFlight > 0) {
      stderr.write(`${visible + inFlight} messages are on the queue: what waits there for long counts as lost\n`)
    }
    const failing = new AbortController()
    const ended = AbortSignal.any([signal, failing.signal])
    const turn = createPace(options.rate, ended)
    const { seen, searches } = createOrphans({
      objects: createObjectStore({ s3, bucket }),
      inventory: createJobInventory({ database, bucket }),
      announce: async (assignment) => {
        const requestId = randomBytes(8).toString('hex').toUpperCase()
        await queue.send(
          'take' in assignment
            ? takeOrderOf(assignment)
            : s3Notification({ ...assignment, region, principal, requestId }),
        )
      },
      bucket,
      prefix: options.prefix,
      olderThanSeconds: options.olderThan,
      verifyBytes: options.verifyBytes ?? false,
      deleteMusic: options.deleteOrphanMusic ?? false,
      now: Date.now,
      signal,
    })
    const limit = pLimit(concurrency)
    const counts: Record<Outcome, number> = { found: 0, mended: 0, changed: 0, left: 0 }
    for (const search of searches) {
      for await (const orphans of search()) {
        const settle = async (orphan: Orphan) => {
          ended.throwIfAborted()
          // Waited for before anything is changed: an interruption in the midst of a mend would leave half of it.
          if (orphan.mend && options.yes) await turn()
          const outcome = await settled(orphan, options)
          counts[outcome]++
          await write((options.json ? jsonOf : rowOf)({ ...orphan, outcome }))
        }
        const fail = (error: unknown) => failing.abort(error)
        // One that fails ends the command: no other is begun, and those begun beside it have ended by then.
        await Promise.all(orphans.map((orphan) => limit(settle, orphan).catch(fail)))
        failing.signal.throwIfAborted()
      }
    }
    stderr.write(summaryOf(counts, seen))
    if (counts.found + counts.left > 0) setExitCode(1)
  } catch (error) {
    signal.throwIfAborted()
    throw error
  } finally {
    s3.destroy()
    sqs.destroy()
    await database.close()
  }

  async function write(text: string): Promise<void> {
    if (!stdout.write(text)) await once(stdout, 'drain', { signal })
  }
}

async function settled({ mend }: Orphan, { yes }: ReconcileOptions): Promise<Outcome> {
  if (!mend) return 'left'
  if (!yes) return 'found'
  return (await mend()) ? 'mended' : 'changed'
}

/** Each call resolves when its turn has come: `perSecond` of them, evenly. */
function createPace(perSecond: number, signal: AbortSignal): () => Promise<void> {
  let next = performance.now()
  return async () => {
    const waitMs = Math.max(0, next - performance.now())
    next = Math.max(next, performance.now()) + 1000 / perSecond
    await sleep(waitMs, undefined, { signal })
  }
}

function rowOf({ kind, since, key, version, remedy, outcome }: Settled): string {
  const time = since.toISOString().replace(/\.\d+Z$/, 'Z')
  const columns = [kind.padEnd(19), time, outcome.padEnd(7), remedy.padEnd(20), printable(key)]
  return `${columns.join('  ')}${version ? `  ${printable(version)}` : ''}\n`
}

function jsonOf({ kind, key, version, jobId, since, remedy, outcome }: Settled): string {
  return `${jsonLine({ kind, key, version, job_id: jobId, since, outcome, remedy })}\n`
}

function summaryOf({ found, mended, changed, left }: Record<Outcome, number>, seen: Seen): string {
  const outcomes = `${mended} mended, ${found} to be mended with --yes, ${left} left, ${changed} changed meanwhile`
  const { pictures, jobs, failedJobs, music } = seen
  return `${found + mended + changed + left} orphans: ${outcomes}
looked at ${pictures} pictures, ${jobs} jobs (of them ${failedJobs} failed, and left alone) and ${music} pieces of music
`
}

function readPrefix(text: string): string {
  if (!text.startsWith(uploadsPrefix)) throw new InvalidArgumentError(`Pictures are under ${uploadsPrefix}.`)
  return text
}

const readSeconds = (text: string) => readAge(text) / 1000
