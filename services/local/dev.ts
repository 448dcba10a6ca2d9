import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { createPathReader } from '#shared/user-path.ts'
import { closeChildren } from './child.ts'
import { type Pipeline, startPipeline } from './pipeline.ts'
import { lockState } from './state-lock.ts'

const localDir = fileURLToPath(new URL('../../.local', import.meta.url))
const say = (line: string) => process.stderr.write(`${line}\n`)

interface DevOptions {
  state: string
  database?: string
  port: number
}

/** How to end; in order, once something has been started. */
let stop: (status: number) => void = process.exit

const command = new Command('npm run dev --')
  .description('Keeps the local stack, the consumer and the API with its page up until interrupted.')
  .option(
    '--state <folder>',
    'objects, messages, the database and logs are kept here; built models are not, but in MODEL_DIR or .local/models',
    createPathReader(process.env),
    join(localDir, 'dev'),
  )
  .option(
    '--database <url>',
    'another database, as mysql://user:password@host:port/database, instead of a private one: it is migrated and keeps the ' +
      'jobs; DATABASE_TLS and DATABASE_CA are heard, DATABASE_URL is not',
  )
  .option('--port <number>', 'port of the API; 0 takes a free one', readPort, 8080)
  .action(dev)

await runCommandLine(command, { stop: (status) => stop(status) })

async function dev({ state: stateDir, database: databaseUrl, port }: DevOptions): Promise<void> {
  await lockState(stateDir)
  const stopped = new Promise<number>((resolve) => {
    stop = resolve
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => resolve(0))
  })
  const modelDir = join(localDir, 'models')
  const starting = startPipeline({ env: process.env, modelDir, stateDir, databaseUrl, port, say })
  const pipeline = await Promise.race([starting, stopped.then(() => undefined)])
  if (!pipeline) {
    await closeChildren()
    process.exit(await stopped)
  }
  printAddresses(pipeline, stateDir)
  try {
    process.exitCode = await Promise.race([stopped, pipeline.failed])
  } finally {
    say('stopping; the state is kept')
    await pipeline.close()
  }
}

function printAddresses({ apiUrl, monitorUrl, env, models }: Pipeline, stateDir: string): void {
  console.log(`Page     ${apiUrl}/
API      ${apiUrl}/v1/results/<key>
Metrics  ${monitorUrl}/metrics
S3, SQS  ${env.AWS_ENDPOINT_URL}
Models   ${Object.values(models).join(', ')}
State    ${stateDir}

To use it from another shell, for example \`aws s3 cp picture.jpg s3://${env.BUCKET}/uploads/\`:
${Object.entries(env)
  .map(([name, value]) => `export ${name}='${value}'`)
  .join('\n')}

Ctrl-C stops it; the state is kept.`)
}

function readPort(text: string): number {
  const port = Number(text)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new InvalidArgumentError('It must be a whole number from 0 to 65535.')
  }
  return port
}
