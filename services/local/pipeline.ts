import { join } from 'node:path'
import { type Child, logTail } from './child.ts'
import { provideMariadb } from './mariadb.ts'
import { readPipelineSettings } from './pipeline-settings.ts'
import { buildModels, type Service, startApi, startConsumer } from './processes.ts'
import { type DatabaseSettings, startStack } from './stack.ts'

interface PipelineOptions {
  /** The user's environment: settings of the models and of the consumer. */
  env: NodeJS.ProcessEnv
  /** Built models are kept here, unless MODEL_DIR names another folder. */
  modelDir: string
  /** Keeps objects, messages, the database and the logs; without it they go when the pipeline does. */
  stateDir?: string | undefined
  /** Of another database than a private one. */
  databaseUrl?: string | undefined
  /** 0 takes a free one. */
  port?: number
  say(line: string): void
}

export type Pipeline = Awaited<ReturnType<typeof startPipeline>>

/**
 * The local stack, the models, one consumer and the API, ready for pictures. Throws ConfigError and UsageError for what
 * the user has set, before anything is started wherever that can be told.
 */
export async function startPipeline({ env, modelDir, stateDir, databaseUrl, port = 0, say }: PipelineOptions) {
  const { models, database } = await readPipelineSettings(env, databaseUrl)
  const folder = env.MODEL_DIR || modelDir
  await buildModels([...new Set(Object.values(models))], folder, serviceEnvironment(env, {}))
  if (!database) await provideMariadb(say)
  say(`starting S3, SQS, the consumer and the API; the database is ${database ? nameOf(database) : 'a private one'}`)
  if (env.DATABASE_URL && !database) say('DATABASE_URL is set and left alone')
  const started: { close(): Promise<void> }[] = []
  const close = async () => {
    for (const each of started.splice(0).toReversed()) await each.close()
  }
  try {
    const stack = await startStack({ stateDir, database }).catch((cause: Error) => {
      if (!stateDir) throw cause
      throw new Error(`${cause.message}\nIf the state is damaged: remove ${stateDir} to start anew.`, { cause })
    })
    started.push(stack)
    const options = {
      env: serviceEnvironment(env, {
        ...stack.env,
        ...models,
        MODEL_DIR: folder,
        HOST: '127.0.0.1',
        PORT: String(port),
        AUTH: 'none',
        LOG_LEVEL: 'info',
      }),
      ...(stateDir && { logDir: join(stateDir, 'logs'), graceMilliseconds: 10_000 }),
    }
    const start = async (starting: Promise<Service>) => {
      const service = await starting
      started.push(service)
      return service
    }
    const services = await allStarted([start(startConsumer(options)), start(startApi(options))])
    const parts = services.map((service) => ({ ...service, name: `services/${service.name}` }))
    const failed = firstFailure([...parts, ...(stack.server ? [{ ...stack.server, name: 'the database server' }] : [])])
    // Whoever waits for it is told.
    failed.catch(() => {})
    return { ...stack, models, apiUrl: services[1].ready[1]!, monitorUrl: services[0].ready[1]!, failed, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** Waits for all even when one fails, so that none is left to start after the rest has been closed. */
async function allStarted<T extends unknown[]>(starting: [...{ [K in keyof T]: Promise<T[K]> }]): Promise<T> {
  await Promise.allSettled(starting)
  return (await Promise.all(starting)) as T
}

/** Rejects when a process ends that should not. */
async function firstFailure(parts: (Child & { name: string })[]): Promise<never> {
  const { name, ended, logFile } = await Promise.race(parts.map(async (part) => ({ ...part, ended: await part.ended })))
  throw new Error(`${name} ended: ${ended}; its log ends with:\n${await logTail(logFile)}`)
}

/** Without the password. */
function nameOf({ DATABASE_URL: url }: DatabaseSettings): string {
  const { host, pathname } = new URL(url)
  return host + pathname
}

/** The user's environment without what would lead the services to the real Amazon or to a database of the user's. */
function serviceEnvironment(env: NodeJS.ProcessEnv, settings: Record<string, string>): NodeJS.ProcessEnv {
  const own = Object.entries(env).filter(([name]) => !/^(AWS|DATABASE)_/.test(name))
  return { ...Object.fromEntries(own), ...settings }
}
