import { join } from 'node:path'
import { readConfig } from '#shared/config.ts'
import { databaseSettings } from '#shared/db/connection.ts'
import { logTail } from './child.ts'
import { buildModels, type Service, startApi, startConsumer } from './processes.ts'
import { startStack } from './stack.ts'

export interface PipelineOptions {
  /** The user's environment: settings of the models and of the consumer, DATABASE_URL. */
  env: NodeJS.ProcessEnv
  /** Built models are kept here, unless MODEL_DIR names another folder. */
  modelDir: string
  /** Keeps objects, messages, the database and the logs; without it they go when the pipeline does. */
  stateDir?: string | undefined
  /** 0 takes a free one. */
  port?: number
}

export type Pipeline = Awaited<ReturnType<typeof startPipeline>>

/** The local stack, the models, one consumer and the API, ready for pictures. Throws ConfigError. */
export async function startPipeline({ env, modelDir, stateDir, port = 0 }: PipelineOptions) {
  const models = readConfig(['MUSIC_MODEL', 'CLASSIFIER_MODEL'], env)
  const folder = env.MODEL_DIR || modelDir
  const database = env.DATABASE_URL ? readConfig(databaseSettings, env) : undefined
  const started: { close(): Promise<void> }[] = []
  const close = async () => {
    for (const each of started.splice(0).toReversed()) await each.close()
  }
  try {
    const names = [...new Set(Object.values(models))]
    const [stack] = await allStarted([
      startStack({ stateDir, database }).then((stack) => {
        started.push(stack)
        return stack
      }),
      buildModels(names, folder, serviceEnvironment(env, {})),
    ])
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
    const failed = firstFailure(services)
    // Whoever waits for it is told.
    failed.catch(() => {})
    return { ...stack, models, apiUrl: services[1].ready[1]!, failed, close }
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

/** Rejects when a service ends that should not. */
async function firstFailure(services: Service[]): Promise<never> {
  const { name, ended, logFile } = await Promise.race(
    services.map(async (service) => ({ ...service, ended: await service.ended })),
  )
  throw new Error(`services/${name} ended: ${ended}; its log ends with:\n${await logTail(logFile)}`)
}

/** The user's environment without what would lead the services to the real Amazon. */
function serviceEnvironment(env: NodeJS.ProcessEnv, settings: Record<string, string>): NodeJS.ProcessEnv {
  const own = Object.entries(env).filter(([name]) => !name.startsWith('AWS_'))
  return { ...Object.fromEntries(own), ...settings }
}
