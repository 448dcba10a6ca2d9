import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { Command } from 'commander'
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
  const stopping = stopOnSignals({ graceSeconds: config.GRACE_SECONDS })
  const env = withoutSettings(process.env)
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
      env,
      signal: stopping,
    })
    try {
      const consumer = createConsumer({ config, jobs: createJobs({ database }), inference, words, logger, env })
      consumer.start()
      if (!stopping.aborted) await once(stopping, 'abort')
      logger.info('stopping')
      await consumer.stop()
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

/** What the inference process and the picture process inherit: no setting of ours and no credentials. */
function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !(name in settings) && !name.startsWith('AWS_')))
}

/** Aborted by the first signal. A second one, or the end of the grace period, ends the process at once. */
function stopOnSignals({ graceSeconds }: { graceSeconds: number }): AbortSignal {
  const stopping = new AbortController()
  let first = 0
  const onSignal = () => {
    if (stopping.signal.aborted) {
      if (performance.now() - first > repeatedSignalMs) process.exit(1)
      return
    }
    first = performance.now()
    stopping.abort()
    setTimeout(() => process.exit(1), graceSeconds * 1000 + 500).unref()
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
