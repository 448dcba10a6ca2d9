import { Command } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { readConfig } from '#shared/config.ts'
import type { SettingName } from '#shared/contract/setting.ts'
import { listenForInterruption } from '#shared/interruption.ts'
import { bundlePage } from './bundle-page.ts'
import { createPage } from './page.ts'
import { createService, optionalSettings, serviceSettings } from './service.ts'

const settingNames = [...serviceSettings, 'HOST', 'PORT', 'GRACE_SECONDS'] as const satisfies SettingName[]

const command = new Command('npm run api')
  .description('Serves results by image key over HTTP until it is told to stop.')
  .addHelpText('after', `\nSettings: ${[...settingNames, ...optionalSettings].join(', ')}.`)
  .action(serve)

await runCommandLine(command)

async function serve(): Promise<void> {
  const config = readConfig(settingNames, process.env, optionalSettings)
  const { app, logger, start, close } = await createService(config, { page: createPage(await bundlePage()) })
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
  start()
  const { signal: stopping } = listenForInterruption(() => process.exit(1))
  const end = async (status: number): Promise<void> => {
    setTimeout(() => {
      logger.error('not closed within GRACE_SECONDS: what is under way is cut off')
      process.exit(1)
    }, config.GRACE_SECONDS * 1000)
    await close()
    process.exit(status)
  }
  stopping.addEventListener('abort', () => {
    logger.info({ signal: stopping.reason.cause }, 'closing')
    void end(0)
  })
  let isBroken = false
  process.on('uncaughtException', (error) => {
    logger.error({ err: error }, 'closing after an error')
    if (isBroken) process.exit(1)
    isBroken = true
    void end(1)
  })
}
