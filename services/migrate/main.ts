import { Command } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { readConfig } from '#shared/config.ts'
import { databaseAddress, databaseSettings } from '#shared/db/connection.ts'
import { migrate } from '#shared/db/migrate.ts'

const command = new Command('npm run migrate')
  .description('Applies the migrations that the database lacks. Safe to run twice, and by two at once.')
  .addHelpText('after', `\nSettings: ${databaseSettings.join(', ')}.`)
  .action(async () => {
    const address = await databaseAddress(readConfig(databaseSettings, process.env))
    const applied = await migrate({ ...address, report: console.log })
    if (applied === 0) console.log('the database is up to date')
  })

await runCommandLine(command)
