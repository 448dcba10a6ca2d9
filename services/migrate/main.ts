import { Command, CommanderError } from 'commander'
import { ConfigError, readConfig } from '#shared/config.ts'
import { databaseAddress, databaseSettings } from '#shared/db/connection.ts'
import { migrate } from '#shared/db/migrate.ts'

const badUsage = 2

const command = new Command('npm run migrate')
  .description('Applies the migrations that the database lacks. Safe to run twice, and by two at once.')
  .addHelpText('after', `\nSettings: ${databaseSettings.join(', ')}.`)
  .allowExcessArguments(false)
  .exitOverride()
  .action(async () => {
    const address = await databaseAddress(readConfig(databaseSettings, process.env))
    const applied = await migrate({ ...address, report: console.log })
    if (applied === 0) console.log('the database is up to date')
  })

try {
  await command.parseAsync()
} catch (error) {
  process.exitCode = exitCodeOf(error)
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : badUsage
  console.error(error instanceof Error ? error.message : error)
  return error instanceof ConfigError ? badUsage : 1
}
