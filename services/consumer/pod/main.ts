import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { readConfig } from '#shared/config.ts'
import { databaseAddress } from '#shared/db/connection.ts'
import { createLogger } from '#shared/logger.ts'
import { loadPromptWords } from '../pipeline/prompt-words.ts'
import { settingNames } from '../setting-names.ts'
import { createCommands } from './commands.ts'
import { identitySettings, writeIdentity } from './identity.ts'
import { modelDirOf, provideModels } from './model-volume.ts'

const command = new Command('node services/consumer/pod/main.ts')
  .description(
    'What a container of the consumer begins with: its identity outside AWS, its models at the first start, then the consumer, ' +
      'which gets every signal. A signal before that ends it in order.',
  )
  .addHelpText('after', `\nSettings: those of npm run consumer, HF_TOKEN, HF_ENDPOINT, ${identitySettings.join(', ')}.`)
  .action(start)

await runCommandLine(command)

async function start(): Promise<void> {
  // What is wrong with them is told before models are pulled.
  const config = readConfig([...settingNames, ...identitySettings], process.env)
  await databaseAddress(config)
  await loadPromptWords(config.PROMPT_FILE)
  const logger = createLogger({ level: config.LOG_LEVEL, service: 'pod' })
  const { run, pass } = createCommands()
  const stopping = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      stopping.abort()
      pass(signal)
    })
  }
  const modelDir = modelDirOf(config.MODEL_DIR)
  const folder = await mkdtemp(join(tmpdir(), 'promenade-pod-'))
  try {
    const identity = await writeIdentity(config, { folder, now: new Date() })
    const env: NodeJS.ProcessEnv = { ...withoutIdentity(process.env), ...identity, MODEL_DIR: modelDir }
    await provideModels({
      volume: config.MODEL_DIR,
      modelDir,
      music: config.MUSIC_MODEL,
      classifier: config.CLASSIFIER_MODEL,
      run: (...args) => run('models', args, env),
      signal: stopping.signal,
      logger,
    })
    if (stopping.signal.aborted) return
    const { HF_TOKEN: _, ...consumerEnv } = env
    process.exitCode = await run('consumer', [], consumerEnv)
  } catch (error) {
    if (!stopping.signal.aborted) throw error
    logger.info('stopped before the models were ready')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Nothing but the helper needs them, and it reads the files. */
function withoutIdentity(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const names: readonly string[] = identitySettings
  return Object.fromEntries(Object.entries(env).filter(([name]) => !names.includes(name)))
}
