import { Command } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { readConfig } from '#shared/config.ts'
import { databaseAddress, databaseSettings } from '#shared/db/connection.ts'
import { migrate } from '#shared/db/migrate.ts'

// A statement that is cut off runs again the next time. Without handlers, nothing would end the first process of a container.
for (const [signal, status] of Object.entries({ SIGHUP: 129, SIGINT: 130, SIGTERM: 143 })) {
  process.on(signal, () => {
    console.error(`${signal}: ended before its time; the same command goes on from here`)
    process.exit(status)
  })
}

const command = new Command('npm run migrate')
  .description('Applies the migrations that the database lacks. Safe to run twice, and by two at once.')
  .addHelpText('after', `\nSettings: ${databaseSettings.join(', ')}.`)
  .action(async () => {
    const address = await databaseAddress(readConfig(databaseSettings, process.env))
    const applied = await migrate({ ...address, report: console.log })
    if (applied === 0) console.log('the database is up to date')
  })

await runCommandLine(command)
