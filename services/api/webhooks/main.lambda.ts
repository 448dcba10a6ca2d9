import type { Context } from 'aws-lambda'
import { readConfig } from '#shared/config.ts'
import type { SettingName } from '#shared/contract/setting.ts'
import { openDatabase } from '#shared/db/client.ts'
import { databaseAddress, databaseSettings } from '#shared/db/connection.ts'
import { createWebhookQueue } from '#shared/db/webhooks.ts'
import { createLogger } from '#shared/logger.ts'
import { readSecretSettings } from '../secret-settings.ts'
import { createWebhooks } from './dispatcher.ts'
import { readEndpoints } from './endpoint.ts'
import { createSender } from './sender.ts'

const settingNames = [
  ...databaseSettings,
  'WEBHOOKS',
  'WEBHOOKS_ALLOW_PRIVATE',
  'LOG_LEVEL',
] as const satisfies SettingName[]
/** For what is under way to be given back. */
const marginMs = 5_000

const config = readConfig(settingNames, await readSecretSettings(process.env))
const { endpoints, mayReach } = readEndpoints(config)
const logger = createLogger({ level: config.LOG_LEVEL, service: 'webhooks' })
const database = openDatabase(await databaseAddress(config))
const queue = createWebhookQueue({ database })
const send = createSender({ mayReach })

/** Sends what is due, called on a schedule: where the API is a function, no server is there to do it. */
export async function handler(_event: unknown, context: Pick<Context, 'getRemainingTimeInMillis'>): Promise<void> {
  const until = AbortSignal.timeout(Math.max(0, context.getRemainingTimeInMillis() - marginMs))
  await createWebhooks({ queue, endpoints, send, logger }).runOnce({ until })
}
