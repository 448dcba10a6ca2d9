import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Child, logTail, startChild } from '../../services/local/child.ts'
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts'
import { type Partition, type Service, services } from './plan.ts'

const entry = fileURLToPath(new URL('../../services/consumer/main.ts', import.meta.url))
const readySeconds = 60
/** For a busy machine, beyond the grace period. */
const exitSlackSeconds = 5
const delayMs = 700
const cutAfterBytes = 20_000

/** One consumer as a process, in a group of its own, and its own wires to the three services; it may be started many times. */
export async function createConsumerSlot({
  name,
  env,
  graceSeconds,
  logDir,
  onViolation,
}: {
  name: string
  /** Its settings and credentials, with the true addresses. */
  env: Record<string, string>
  graceSeconds: number
  logDir: string
  onViolation(what: string): void
}) {
  const logFile = join(logDir, `${name}.log`)
  const wires = await openWires(env)
  const ownEnv = { ...wires.env, PATH: process.env.PATH, GRACE_SECONDS: String(graceSeconds) }
  let child: Child | undefined
  let pid = 0
  let starts = 0
  let closed = false
  const healers = new Map<Service, () => void>()

  /** Resolves when it takes messages, or when it was ended before. */
  async function start(): Promise<void> {
    if (closed) return
    pid = 0
    const mark = `start ${++starts},`
    const started = startChild({
      command: 'sh',
      args: ['-c', `echo "${mark} pid $$"; exec "$@"`, name, process.execPath, entry],
      env: ownEnv,
      logFile,
      graceMilliseconds: graceSeconds * 1000 + 2_000,
    })
    child = started
    const [, found] = await logged(started, mark, /pid (\d+)/)
    pid = Number(found)
    try {
      await logged(started, mark, /"msg":"consumer started"/)
    } catch (error) {
      if (child === started) throw error
      return
    }
    void started.ended.then((how) => {
      if (child === started) onViolation(`${name} ended by itself: ${how}; see ${logFile}`)
    })
  }

  /** The first line that matches, after the mark of this start. */
  async function logged(of: Child, mark: string, line: RegExp): Promise<RegExpMatchArray> {
    const deadline = performance.now() + readySeconds * 1000
    for (;;) {
      const ended = await Promise.race([of.ended, sleep(50)])
      const found = (await readFile(logFile, 'utf8')).split(mark)[1]?.match(line)
      if (found) return found
      if (ended === undefined && performance.now() < deadline) continue
      throw new Error(`${name}: ${ended ?? 'not ready'} before ${line}; its log ends with:\n${await logTail(logFile)}`)
    }
  }

  /** The consumer itself and the processes that it has started, by the names of their files. */
  const processes = () => processesOf(pid)

  /** Nothing happens to a process that is gone already. */
  function send(signal: NodeJS.Signals, to: number | undefined): void {
    try {
      if (to) process.kill(to, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }

  return {
    name,
    logFile,
    start,
    isUp: () => child !== undefined && pid > 0,
    processes,

    /** SIGKILL; where the processes that it has started are spared, they have to notice by themselves. */
    async kill(withChildren: boolean): Promise<void> {
      const ending = child
      if (!ending) return
      child = undefined
      send('SIGKILL', withChildren ? -pid : pid)
      // What stands still notices nothing.
      send('SIGCONT', -pid)
      await ending.ended
      await gone()
      await ending.close()
    },

    /** SIGTERM, upon which it must exit with 0 in time. */
    async terminate(): Promise<void> {
      const ending = child
      if (!ending) return
      child = undefined
      const begun = performance.now()
      send('SIGTERM', pid)
      const how = await Promise.race([ending.ended, sleep((graceSeconds + exitSlackSeconds) * 1000, 'nothing')])
      const seconds = (performance.now() - begun) / 1000
      if (how !== 'exit status 0') onViolation(`${name} answered SIGTERM with ${how} after ${seconds.toFixed(1)} s`)
      await gone()
      await ending.close()
    },

    async signalChild(name: 'inference-process' | 'picture-process', signal: NodeJS.Signals): Promise<void> {
      if (child) send(signal, (await processes()).get(name)?.pid)
    },

    /** Stands still for so long, with or without the processes that it has started. */
    async pause(seconds: number, withChildren: boolean): Promise<void> {
      if (!child) return
      const whom = withChildren ? -pid : pid
      send('SIGSTOP', whom)
      await sleep(seconds * 1000)
      send('SIGCONT', whom)
    },

    /** Until the function returned is called, or another partition of the same service takes its place. */
    partition(service: Service, how: Partition): () => void {
      const wire = wires[service]
      if (how === 'reset') wire.reset()
      else if (how === 'hang') wire.hold()
      else if (how === 'delay') wire.delay(delayMs)
      else wire.cutAfter(cutAfterBytes)
      const heal = () => {
        if (healers.get(service) === heal) wire.pass()
      }
      healers.set(service, heal)
      return heal
    },

    async close(): Promise<void> {
      closed = true
      const ending = child
      child = undefined
      send('SIGCONT', -pid)
      await ending?.close()
      await Promise.all(services.map((service) => wires[service].close()))
    },
  }

  async function gone(): Promise<void> {
    const deadline = performance.now() + exitSlackSeconds * 1000
    for (;;) {
      const left = [...(await processes()).keys()]
      if (left.length === 0) return
      if (performance.now() > deadline) return onViolation(`${left} of ${name} outlive it`)
      await sleep(50)
    }
  }
}

export type ConsumerSlot = Awaited<ReturnType<typeof createConsumerSlot>>

/** The SDK takes an address of its own for each of its services where AWS_ENDPOINT_URL names none for all. */
async function openWires({ AWS_ENDPOINT_URL: aws, QUEUE_URL, DLQ_URL, DATABASE_URL, ...env }: Record<string, string>) {
  const open = (url: string) => startTcpProxy(Number(new URL(url).port))
  const through = (url: string, { port }: TcpProxy) => Object.assign(new URL(url), { port: String(port) }).href
  const [database, s3, sqs] = await Promise.all([open(DATABASE_URL!), open(aws!), open(aws!)])
  return {
    database,
    s3,
    sqs,
    env: {
      ...env,
      DATABASE_URL: through(DATABASE_URL!, database),
      AWS_ENDPOINT_URL_S3: new URL(through(aws!, s3)).origin,
      AWS_ENDPOINT_URL_SQS: new URL(through(aws!, sqs)).origin,
      QUEUE_URL: through(QUEUE_URL!, sqs),
      DLQ_URL: through(DLQ_URL!, sqs),
    },
  }
}

/** Those that have ended and that nobody has asked about yet are none. */
async function processesOf(group: number): Promise<Map<string, { pid: number; megabytes: number }>> {
  const { stdout } = await promisify(execFile)('ps', ['-e', '-o', 'pid=,pgid=,rss=,stat=,args='])
  const rows = stdout.split('\n').map((line) => line.trim().split(/ +/))
  const alive = rows.filter(([, pgid, , stat]) => Number(pgid) === group && !stat?.startsWith('Z'))
  return new Map(
    alive.map(([pid, , kilobytes, , ...args]) => {
      const file = args.find((arg) => arg.endsWith('.ts')) ?? args.join(' ')
      return [basename(file, '.ts'), { pid: Number(pid), megabytes: Math.round(Number(kilobytes) / 1024) }]
    }),
  )
}
