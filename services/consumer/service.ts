import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { readConfig } from '#shared/config.ts'
import { openDatabase } from '#shared/db/client.ts'
import { databaseAddress } from '#shared/db/connection.ts'
import { createConsumers } from '#shared/db/consumers.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { createLogger } from '#shared/logger.ts'
import { createConsumer } from './app.ts'
import { type Inference, startInference } from './onnx/inference.ts'
import { loadPromptWords } from './pipeline/prompt-words.ts'
import { settingNames } from './setting-names.ts'
import { createMetrics } from './telemetry/metrics.ts'
import { type Monitored, startMonitor } from './telemetry/monitor.ts'
import { createSignOfLife } from './telemetry/sign-of-life.ts'

/** Of the grace period, for sending the last traces and closing what is left when the consumer has stopped. */
const closeSeconds = 0.3

interface Surroundings {
  env: NodeJS.ProcessEnv
  /** Ends the consumer in order, whenever it is aborted. */
  stopping: AbortSignal
  exit(status?: number): never
}

export async function serve(surroundings: Surroundings): Promise<void> {
  const command = new Command('npm run consumer')
    .description(
      'Makes music for the pictures that the queue announces, until SIGTERM or SIGINT; a second one ends it at once.',
    )
    .addHelpText('after', `\nSettings: ${settingNames.join(', ')}.`)
    .action(() => run(surroundings))
  await runCommandLine(command)
}

/** What is opened here is closed here, the last first. */
async function run({ env: given, stopping, exit }: Surroundings): Promise<void> {
  const config = readConfig(settingNames, given)
  const address = await databaseAddress(config)
  const words = await loadPromptWords(config.PROMPT_FILE)
  const logger = createLogger({ level: config.LOG_LEVEL, service: 'consumer' })
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'unexpected, exiting')
    exit(1)
  })
  let hasStopped = false
  /** Why it ends by itself. */
  let lost: Error | undefined
  if (stopping.aborted) return
  // In order where the consumer has stopped and what is left waits for a service that is away.
  const endLate = () => exit(hasStopped && !lost ? 0 : 1)
  const boundEnd = () => setTimeout(endLate, Math.max(closeSeconds, config.GRACE_SECONDS) * 1000).unref()
  stopping.addEventListener('abort', boundEnd)
  const env = withoutSecrets(given)
  const version = await readVersion()
  const metrics = createMetrics()
  const traces = config.OTEL_EXPORTER_OTLP_ENDPOINT
    ? (await import('./telemetry/traces.ts')).createTraces({ version, logger })
    : undefined
  let inference: Inference | undefined
  let consumer: (Monitored & ReturnType<typeof createConsumer>) | undefined
  let stoppedAt = Number.NEGATIVE_INFINITY
  const monitor = await startMonitor({
    host: config.HOST,
    port: config.METRICS_PORT,
    metrics,
    consumer: () => consumer,
    modelsLoaded: () => answers(inference),
    logger,
  })
  const database = openDatabase(address)
  const signOfLife = createSignOfLife({ consumers: createConsumers({ database }), logger })
  try {
    inference = await startInference({
      modelDir: config.MODEL_DIR,
      musicModel: config.MUSIC_MODEL,
      classifierModel: config.CLASSIFIER_MODEL,
      executionProviders: config.EXECUTION_PROVIDERS.split(','),
      batchSize: config.BATCH_SIZE,
      batchWaitMs: config.BATCH_WAIT_MS,
      maxGenerationSeconds: config.MAX_GENERATION_SECONDS,
      logger,
      observer: {
        ...metrics.inference,
        generated(generation) {
          metrics.inference.generated(generation)
          signOfLife.generated(generation)
        },
      },
      env,
      signal: stopping,
    })
    try {
      metrics.describe({ version, ...modelsOf(inference) })
      consumer = createConsumer({
        config: { ...config, GRACE_SECONDS: Math.max(0, config.GRACE_SECONDS - closeSeconds) },
        jobs: createJobs({ database }),
        inference,
        words,
        observers: [metrics.observer, signOfLife.observer, ...(traces ? [traces.observer] : [])],
        logger,
        env,
      })
      consumer.start()
      signOfLife.start({ version, slots: config.BATCH_SIZE, inference, health: consumer.health })
      const stopped = stopping.aborted ? undefined : once(stopping, 'abort')
      await Promise.race([stopped, inference.gone]).catch((error: Error) => {
        lost = error
        boundEnd()
      })
      stoppedAt = performance.now()
      logger.info('stopping')
      signOfLife.stopping()
      await consumer.stop()
      hasStopped = true
    } finally {
      await signOfLife.stop()
      await inference.close()
    }
  } catch (error) {
    // Cut off while the models were loading: nothing was begun.
    if (error !== stopping.reason) throw error
  } finally {
    await database.close()
    await monitor.close()
  }
  const flushMs = Math.max(closeSeconds * 1000, stoppedAt + config.GRACE_SECONDS * 1000 - performance.now())
  // A collector that does not answer must not keep the process.
  const isSent = !traces || (await traces.close(flushMs))
  if (lost) throw lost
  if (!isSent) exit()
}

async function answers(inference: Inference | undefined): Promise<boolean> {
  if (!inference) return false
  return inference.ping().then(
    () => true,
    () => false,
  )
}

function modelsOf({ musicManifest, classifierManifest, executionProviders }: Inference) {
  return {
    music_model: musicManifest.name,
    music_model_revision: musicManifest.source.revision,
    classifier_model: classifierManifest.name,
    classifier_model_revision: classifierManifest.source.revision,
    execution_providers: executionProviders().join(','),
  }
}

async function readVersion(): Promise<string> {
  return JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')).version
}

const places = ['PATH', 'HOME', 'TMPDIR', 'LANG', 'TZ', 'LD_LIBRARY_PATH', 'LD_PRELOAD']
const tuning =
  /^(NODE_OPTIONS|UV_THREADPOOL_SIZE|GLIBC_TUNABLES|(LC|MALLOC|VIPS|ORT|OMP|CUDA|CUBLAS|CUDNN|NVIDIA)_\w+)$/

/** What the inference process and the picture process inherit: where things are and how they run, and nobody's secrets. */
function withoutSecrets(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => places.includes(name) || tuning.test(name)))
}
