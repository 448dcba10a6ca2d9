import { rmSync } from 'node:fs'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createSqsClient } from '#shared/aws/clients.ts'
import { createQueue } from '#shared/aws/queue.ts'
import { openDatabase } from '#shared/db/client.ts'
import { jobs } from '#shared/db/schema.ts'
import { startStack } from '../../services/local/stack.ts'
import { buildTinyModels } from '../tiny-models.ts'
import { type ConsumerSlot, createConsumerSlot } from './consumer.ts'
import { checkInvariants, type Findings } from './invariants.ts'
import { describeFault, type Fault, nameOfFault } from './plan.ts'
import { createUploader } from './uploader.ts'
import { limits, type PlannedUpload } from './uploads.ts'

const sayEverySeconds = 10
const pollMs = 200

export interface Run {
  consumers: number
  faults: Fault[]
  uploads: PlannedUpload[]
  /** Of the consumers, beyond those that every run has. */
  settings: Record<string, string>
  graceSeconds: number
  /** From the last fault and the last upload until all is at rest, at most. */
  settleSeconds: number
  /** Everyone whom it concerns, while uploads and faults go on. */
  watch?: (slots: ConsumerSlot[], signal: AbortSignal) => Promise<string[]>
  say(line: string): void
}

export interface Report extends Findings {
  uploads: number
  versions: number
  copies: number
  /** By kind. */
  faults: Record<string, number>
  /** Until all was at rest, from the last fault or upload. */
  settledAfterSeconds: number
  seconds: number
}

/** Starts everything, lets uploads and faults happen at their times, waits for rest, and checks. It closes what it opened. */
export async function runFaults(run: Run): Promise<Report> {
  const { consumers, faults, uploads, settings, graceSeconds, settleSeconds, watch, say } = run
  const violations: string[] = []
  const onViolation = (what: string) => {
    say(`VIOLATION ${what}`)
    violations.push(what)
  }
  const inflicted: Fault[] = []
  /** Aborted when nothing more is to happen. */
  const stop = new AbortController()
  const closers: (() => Promise<unknown>)[] = []
  const folder = await mkdtemp(join(tmpdir(), 'promenade-faults-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  // Also when interrupted.
  process.once('exit', remove)
  closers.push(async () => {
    process.off('exit', remove)
    if (violations.length) say(`the consumers' logs are kept in ${folder}`)
    else remove()
  })
  try {
    const stack = await startStack({ onError: (error) => say(String(error)) })
    closers.push(stack.close)
    const modelDir = await buildTinyModels(folder)
    const { AWS_REGION: region, AWS_ENDPOINT_URL: endpoint, AWS_ACCESS_KEY_ID: accessKeyId } = stack.env
    const credentials = { accessKeyId: accessKeyId!, secretAccessKey: stack.env.AWS_SECRET_ACCESS_KEY! }
    const sqs = createSqsClient({ region: region!, endpoint, credentials })
    closers.push(async () => sqs.destroy())
    const database = openDatabase({ url: stack.env.DATABASE_URL!, tls: 'off' })
    closers.push(database.close)
    const queue = createQueue({ sqs, queueUrl: stack.env.QUEUE_URL!, dlqUrl: stack.env.DLQ_URL! })
    const uploader = createUploader({ stack, sqs })

    const env = { ...stack.env, ...limits, MODEL_DIR: modelDir, ...settings }
    const slots: ConsumerSlot[] = []
    for (let index = 0; index < consumers; index++) {
      const slot = await createConsumerSlot({
        name: `consumer ${index}`,
        env,
        graceSeconds,
        logDir: folder,
        onViolation,
      })
      closers.push(slot.close)
      slots.push(slot)
    }
    await Promise.all(slots.map((slot) => slot.start()))
    say(`${consumers} consumers are up; ${uploads.length} uploads and ${faults.length} faults follow`)

    const begun = performance.now()
    const elapsed = () => (performance.now() - begun) / 1000
    const happen = async (at: number, what: () => Promise<void>) => {
      await sleep(Math.max(0, at - elapsed()) * 1000, undefined, { signal: stop.signal })
      await what()
    }
    const watching = watch?.(slots, stop.signal)
    const telling = tell()
    await Promise.all([
      ...uploads.map((upload) => happen(upload.at, () => uploader.upload(upload))),
      ...faults.map((fault) => happen(fault.at, () => inflict(fault, slots))),
    ])
    const lastAt = elapsed()
    const isAtRest = await untilRest()
    const settledAfterSeconds = elapsed() - lastAt
    stop.abort()
    await telling
    violations.push(...((await watching) ?? []))
    if (!isAtRest)
      onViolation(`not at rest ${settleSeconds} s after the last fault: ${JSON.stringify(await progress())}`)

    const { versions } = uploader
    const findings = await checkInvariants({
      versions,
      database,
      s3: stack.s3,
      sqs,
      bucket: stack.env.BUCKET!,
      dlqUrl: stack.env.DLQ_URL!,
    })
    await Promise.all(slots.map((slot) => slot.terminate()))
    for (const slot of slots) violations.push(...complaints(slot.name, await readFile(slot.logFile, 'utf8')))
    violations.push(...findings.violations)
    return {
      ...findings,
      violations,
      uploads: uploads.length,
      versions: versions.size,
      copies: uploader.copies(),
      faults: countBy(inflicted, nameOfFault),
      settledAfterSeconds,
      seconds: elapsed(),
    }

    async function progress() {
      const rows = await database.run((db) => db.select({ state: jobs.state }).from(jobs))
      return { ...countBy(rows, ({ state }) => state), ...(await queue.depth()) }
    }

    async function tell(): Promise<void> {
      while (!stop.signal.aborted) {
        await sleep(sayEverySeconds * 1000, undefined, { signal: stop.signal }).catch(() => {})
        if (!stop.signal.aborted) say(`${elapsed().toFixed(0).padStart(4)} s  ${JSON.stringify(await progress())}`)
      }
    }

    /** Every version settled and nothing on the queue, seen twice: a message may be between two hands. */
    async function untilRest(): Promise<boolean> {
      const deadline = performance.now() + settleSeconds * 1000
      for (let quiet = 0; quiet < 2; ) {
        if (performance.now() > deadline) return false
        const { visible, inFlight, succeeded = 0, failed = 0 } = (await progress()) as Record<string, number>
        const isQuiet = visible! + inFlight! === 0 && succeeded + failed >= uploader.versions.size
        quiet = isQuiet ? quiet + 1 : 0
        await sleep(pollMs)
      }
      return true
    }
  } catch (error) {
    violations.push(String(error))
    throw error
  } finally {
    stop.abort()
    for (const close of closers.toReversed()) await close().catch((error: unknown) => say(String(error)))
  }

  async function inflict(fault: Fault, slots: ConsumerSlot[]): Promise<void> {
    const slot = slots[fault.kind === 'partition' ? 0 : fault.consumer]!
    if (fault.kind !== 'partition' && !slot.isUp()) return
    say(describeFault(fault))
    inflicted.push(fault)
    if (fault.kind === 'partition') {
      const whom = fault.consumer === undefined ? slots : [slots[fault.consumer]!]
      const healers = whom.map((slot) => slot.partition(fault.service, fault.how))
      await sleep(fault.seconds * 1000, undefined, { signal: stop.signal })
      for (const heal of healers) heal()
      return
    }
    if (fault.kind === 'kill inference') return slot.signalChild('inference-process', 'SIGKILL')
    if (fault.kind === 'kill decoder') return slot.signalChild('picture-process', 'SIGKILL')
    if (fault.kind === 'hang inference') return slot.signalChild('inference-process', 'SIGSTOP')
    if (fault.kind === 'pause') return slot.pause(fault.seconds, fault.withChildren)
    if (fault.kind === 'kill') await slot.kill(fault.withChildren)
    else await slot.terminate()
    await sleep(fault.downSeconds * 1000, undefined, { signal: stop.signal })
    await slot.start()
  }
}

/** What a consumer must never say, whatever befalls it. */
export function complaints(name: string, log: string): string[] {
  return log
    .split('\n')
    .filter(
      (line) =>
        line && !/^start \d+, pid \d+$/.test(line) && (!line.startsWith('{') || line.includes('"level":"fatal"')),
    )
    .map((line) => `${name} says: ${line}`)
}

function countBy<T>(items: readonly T[], name: (item: T) => string): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const item of items) counts[name(item)] = (counts[name(item)] ?? 0) + 1
  return counts
}
