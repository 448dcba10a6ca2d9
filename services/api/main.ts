import closeWithGrace from 'close-with-grace'
import { Command } from 'commander'
import { createS3Client } from '#shared/aws/clients.ts'
import { createObjectStore } from '#shared/aws/object-store.ts'
import { runCommandLine } from '#shared/command-line.ts'
import { ConfigError, readConfig } from '#shared/config.ts'
import type { SettingName } from '#shared/contract/setting.ts'
import { openDatabase } from '#shared/db/client.ts'
import { databaseAddress, databaseSettings } from '#shared/db/connection.ts'
import { createResults } from '#shared/db/results.ts'
import { createLogger } from '#shared/logger.ts'
import { createApp } from './app.ts'

const settingNames = [
  ...databaseSettings,
  'AWS_REGION',
  'AWS_ENDPOINT_URL',
  'BUCKET',
  'AUTH',
  'API_KEYS',
  'HOST',
  'PORT',
  'GRACE_SECONDS',
  'LOG_LEVEL',
] as const satisfies SettingName[]

/** A client waits for the answer. */
const storeTimeoutMs = 5_000
const databaseTimeoutSeconds = 5
const command = new Command('npm run api')
  .description('Serves results by image key over HTTP until it is told to stop.')
  .addHelpText('after', `\nSettings: ${settingNames.join(', ')}.`)
  .action(serve)

await runCommandLine(command)

async function serve(): Promise<void> {
  const config = readConfig(settingNames, process.env)
  const auth = config.AUTH ?? { keys: readKeys(config.API_KEYS ?? '') }
  const logger = createLogger({ level: config.LOG_LEVEL, service: 'api' })
  const database = openDatabase({ ...(await databaseAddress(config)), timeoutSeconds: databaseTimeoutSeconds })
  const { AWS_REGION: region, AWS_ENDPOINT_URL: endpoint } = config
  const s3 = createS3Client({ region, endpoint })
  const bucket = config.BUCKET
  const objects = createObjectStore({ s3, bucket, timeoutMs: storeTimeoutMs })
  const results = createResults({ database, bucket })
  const app = await createApp({ results, objects, database, bucket, region, endpoint, auth, logger })
  const close = async () => {
    await app.close()
    await database.close()
    s3.destroy()
  }
  try {
    await app.listen({
      host: config.HOST,
      port: config.PORT,
      listenTextResolver: (address) => `listening on ${address}`,
    })
  } catch (error) {
    await close()
    throw error
  }
  // A delay of 0 would be none at all.
  const delay = Math.max(1, config.GRACE_SECONDS * 1000)
  closeWithGrace({ delay, logger }, async ({ signal, err: error }) => {
    if (error) logger.error({ err: error }, 'closing after an error')
    else logger.info({ signal }, 'closing')
    await close()
  })
}

function readKeys(text: string): string[] {
  const keys = text.split(',').map((key) => key.trim())
  if (keys.includes('')) throw new ConfigError(['API_KEYS has an empty key: separate the keys by single commas'])
  return keys
}
