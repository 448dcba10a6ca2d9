import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { UsageError } from '#shared/command-line.ts'
import { ConfigError, readConfig } from '#shared/config.ts'
import type { SettingName } from '#shared/contract/setting.ts'
import { databaseSettings } from '#shared/db/connection.ts'
import { fileFault } from '#shared/file-fault.ts'

/** What the user may choose; the other settings of the services are the pipeline's own to give. */
const settingNames = [
  'MUSIC_MODEL',
  'CLASSIFIER_MODEL',
  'EXECUTION_PROVIDERS',
  'MUSIC_SECONDS',
  'PROMPT_FILE',
  'BATCH_SIZE',
  'BATCH_WAIT_MS',
  'MAX_GENERATION_SECONDS',
  'MAX_IMAGE_BYTES',
  'MAX_IMAGE_PIXELS',
  'LEASE_SECONDS',
  'MAX_ATTEMPTS',
  'GRACE_SECONDS',
] as const satisfies SettingName[]

/**
 * Finds the faults before anything is started; `databaseUrl` is of another database than a private one. Throws ConfigError and
 * UsageError.
 */
export async function readPipelineSettings(env: NodeJS.ProcessEnv, databaseUrl?: string) {
  const hasDatabase = databaseUrl !== undefined
  const own = { ...env, DATABASE_URL: databaseUrl }
  const config = readOwn(() => readConfig([...settingNames, ...(hasDatabase ? databaseSettings : [])], own))
  const { MUSIC_MODEL, CLASSIFIER_MODEL, PROMPT_FILE: promptFile } = config
  if (promptFile) {
    await access(promptFile, constants.R_OK).catch((cause: unknown) => {
      throw new UsageError(fileFault(promptFile, 'PROMPT_FILE cannot be read', cause), { cause })
    })
  }
  return {
    models: { MUSIC_MODEL, CLASSIFIER_MODEL },
    database: hasDatabase ? readConfig(databaseSettings, own) : undefined,
  }
}

/** Where it is named otherwise. */
function readOwn<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    throw new ConfigError(error.faults.map((fault) => fault.replaceAll('DATABASE_URL', '--database')))
  }
}
