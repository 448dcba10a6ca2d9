import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { UsageError } from '#shared/command-line.ts'
import { type Child, logTail, startChild } from './child.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readyMilliseconds = 120_000
/** How our commands end when what the user set is the matter; their log says what. */
const badUsage = 'exit status 2'

interface ProcessOptions {
  /** All of it: nothing of this process's own environment is added. */
  env: NodeJS.ProcessEnv
  /** Logs are kept here; without it they go when the process does. */
  logDir?: string | undefined
  /** Without it the process is killed at once: whatever it was doing is thrown away. */
  graceMilliseconds?: number | undefined
}

export interface Service extends Child {
  name: string
  ready: RegExpMatchArray
}

/** `ready[1]` is where it serves metrics and health: a free port, unless METRICS_PORT is set. */
export function startConsumer({ env, ...options }: ProcessOptions): Promise<Service> {
  const ready = /"msg":"serving metrics and health on (http:[^"]+)".*"msg":"consumer started"/s
  return startService('consumer', ready, { ...options, env: { METRICS_PORT: '0', ...env } })
}

/** `ready[1]` is its address. */
export function startApi(options: ProcessOptions): Promise<Service> {
  return startService('api', /"msg":"listening on (http:[^"]+)"/, options)
}

/** Builds the models that `modelDir` lacks. Throws with what the builder said when it fails; UsageError for unknown ones. */
export async function buildModels(names: string[], modelDir: string, env: NodeJS.ProcessEnv): Promise<void> {
  const builder = await startEntry('models', ['--dir', modelDir, 'build', ...names], { env })
  try {
    const ended = await builder.ended
    if (ended === badUsage) throw new UsageError(`${names.join(', ')}: ${await logTail(builder.logFile)}`)
    if (ended !== 'exit status 0') {
      throw new Error(`the models could not be built (${ended}):\n${await logTail(builder.logFile)}`)
    }
  } finally {
    await builder.close()
  }
}

async function startService(name: string, readyLine: RegExp, options: ProcessOptions): Promise<Service> {
  const child = await startEntry(name, [], options)
  try {
    return { ...child, name, ready: await untilReady(name, child, readyLine) }
  } catch (error) {
    await child.close()
    throw error
  }
}

async function startEntry(
  name: string,
  args: string[],
  { env, logDir, graceMilliseconds }: ProcessOptions,
): Promise<Child> {
  const throwaway = logDir ? undefined : await mkdtemp(join(tmpdir(), `promenade-${name}-`))
  const logFile = join(logDir ?? throwaway!, `${name}.log`)
  if (logDir) await mkdir(logDir, { recursive: true })
  await rm(logFile, { force: true })
  return startChild({
    command: process.execPath,
    args: [join(root, 'services', name, 'main.ts'), ...args],
    env,
    logFile,
    ...(graceMilliseconds === undefined ? { stopSignal: 'SIGKILL' } : { graceMilliseconds }),
    ...(throwaway && { throwaway }),
  })
}

async function untilReady(name: string, child: Child, readyLine: RegExp): Promise<RegExpMatchArray> {
  const deadline = Date.now() + readyMilliseconds
  for (;;) {
    const ended = await Promise.race([child.ended, sleep(10)])
    const ready = (await readFile(child.logFile, 'utf8')).match(readyLine)
    if (ready) return ready
    if (ended === undefined && Date.now() < deadline) continue
    if (ended === badUsage) throw new UsageError(await logTail(child.logFile))
    const state = ended === undefined ? `is not ready after ${readyMilliseconds / 1000} s` : `ended: ${ended}`
    throw new Error(`services/${name} ${state}; its log ends with:\n${await logTail(child.logFile)}`)
  }
}
