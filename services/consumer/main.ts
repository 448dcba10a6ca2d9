import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
import sharp from 'sharp'
import { runCommandLine } from '#shared/command-line.ts'
import { ConfigError, readConfig } from '#shared/config.ts'
import { settings } from '#shared/contract/setting.ts'
import { openDatabase } from '#shared/db/client.ts'
import { databaseAddress, databaseSettings } from '#shared/db/connection.ts'
import { createJobs } from '#shared/db/jobs.ts'
import { createLogger } from '#shared/logger.ts'
import { consumerSettings, createConsumer } from './app.ts'
import { startInference } from './onnx/inference.ts'
import { type PromptWords, PromptWordsError, readPromptWords } from './pipeline/prompt-words.ts'

/** One Ctrl-C may come twice, from the terminal and from the command that started this one. */
const repeatedSignalMs = 500

/** Of the grace period, for closing what is left when the consumer has stopped. */
const closeSeconds = 0.3

const settingNames = [
  ...consumerSettings,
  ...databaseSettings,
  'MODEL_DIR',
  'MUSIC_MODEL',
  'CLASSIFIER_MODEL',
  'EXECUTION_PROVIDERS',
  'BATCH_WAIT_MS',
  'MAX_GENERATION_SECONDS',
  'PROMPT_FILE',
  'LOG_LEVEL',
] as const

const command = new Command('npm run consumer')
  .description(
    'Makes music for the pictures that the queue announces, until SIGTERM or SIGINT; a second one ends it at once.',
  )
  .addHelpText('after', `\nSettings: ${settingNames.join(', ')}.`)
  .action(run)

await runCommandLine(command)

/** What is opened here is closed here, the last first. */
async function run(): Promise<void> {
  const config = readConfig(settingNames, process.env)
  const address = await databaseAddress(config)
  const words = await loadPromptWords(config.PROMPT_FILE)
  const logger = createLogger({ level: config.LOG_LEVEL, service: 'consumer' })
  process.on('uncaughtException', (error) => {
    logger.fatal({ err: error }, 'unexpected, exiting')
    process.exit(1)
  })
  let hasStopped = false
  const stopping = stopOnSignals({ graceSeconds: config.GRACE_SECONDS, hasStopped: () => hasStopped })
  // Every picture is another; libvips would remember the last ones for nothing.
  sharp.cache(false)

  const database = openDatabase(address)
  try {
    const inference = await startInference({
      modelDir: config.MODEL_DIR,
      musicModel: config.MUSIC_MODEL,
      classifierModel: config.CLASSIFIER_MODEL,
      executionProviders: config.EXECUTION_PROVIDERS.split(','),
      batchSize: config.BATCH_SIZE,
      batchWaitMs: config.BATCH_WAIT_MS,
      maxGenerationSeconds: config.MAX_GENERATION_SECONDS,
      logger,
      env: withoutSettings(process.env),
      signal: stopping,
    })
    try {
      const consumer = createConsumer({
        config: { ...config, GRACE_SECONDS: Math.max(0, config.GRACE_SECONDS - closeSeconds) },
        jobs: createJobs({ database }),
        inference,
        words,
        logger,
      })
      consumer.start()
      if (!stopping.aborted) await once(stopping, 'abort')
      logger.info('stopping')
      await consumer.stop()
      hasStopped = true
    } finally {
      await inference.close()
    }
  } catch (error) {
    // Cut off while the models were loading: nothing was begun.
    if (error !== stopping.reason) throw error
  } finally {
    await database.close()
  }
}

/** What the inference process inherits: no setting of ours and no credentials. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !(name in settings) && !name.startsWith('AWS_')))
}

/**
 * Aborted by the first signal. A second one ends the process at once, and so does the end of the grace period: in order where
 * the consumer has stopped and what is left waits for a service that is away.
 */
function stopOnSignals(options: { graceSeconds: number; hasStopped: () => boolean }): AbortSignal {
  const graceSeconds = Math.max(closeSeconds, options.graceSeconds)
  const stopping = new AbortController()
  let first = 0
  const onSignal = () => {
    if (stopping.signal.aborted) {
      if (performance.now() - first > repeatedSignalMs) process.exit(1)
      return
    }
    first = performance.now()
    stopping.abort()
    setTimeout(() => process.exit(options.hasStopped() ? 0 : 1), graceSeconds * 1000).unref()
  }
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal)
  return stopping.signal
}

async function loadPromptWords(file: string | undefined): Promise<PromptWords> {
  try {
    const text = await readFile(file ?? new URL('./pipeline/prompt.json', import.meta.url), 'utf8')
    return readPromptWords(JSON.parse(text))
  } catch (error) {
    if (error instanceof PromptWordsError) throw new ConfigError(error.faults.map((fault) => `PROMPT_FILE: ${fault}`))
    throw new ConfigError([`PROMPT_FILE must name a file of JSON: ${(error as Error).message}`])
  }
}
