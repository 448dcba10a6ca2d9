import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createConnection } from 'mysql2/promise'
import { type Child, logTail, startChild } from './child.ts'
import { findMariadb, type Mariadb, MariadbMissingError } from './mariadb.ts'

const readyMilliseconds = 60_000

interface DatabaseOptions {
  /** Keeps its data here; without it the data lies in a fresh folder that goes when the server does. */
  dir?: string | undefined
  choosePort?: () => Promise<number>
  /** More of the server's own options. */
  args?: string[]
}

/**
 * Starts a private MariaDB server on a free loopback port, with a database `promenade` that is empty the first time.
 * It ends with this process, however that one ends. Throws MariadbMissingError, and an
 * Error with the end of the server's log when it is not ready in 60 s.
 */
export async function startDatabase({ dir, choosePort = freePort, args = [] }: DatabaseOptions = {}) {
  const mariadb = findMariadb()
  if (!mariadb) throw new MariadbMissingError()
  for (let attempt = 1; ; attempt++) {
    try {
      return await startServer(mariadb, { port: await choosePort(), dir, args })
    } catch (error) {
      const portTaken = error instanceof Error && error.message.includes('Address already in use')
      if (!portTaken || attempt === 5) throw error
    }
  }
}

/** `port` was free a moment ago; any outgoing connection of the machine may have taken it since. */
async function startServer(
  mariadb: Mariadb,
  { port, dir, args }: { port: number; dir: string | undefined; args: string[] },
) {
  const password = randomBytes(16).toString('hex')
  const url = `mysql://promenade:${password}@127.0.0.1:${port}/promenade`
  const home = dir ?? (await mkdtemp(join(tmpdir(), 'promenade-db-')))
  await mkdir(home, { recursive: true, mode: 0o700 })
  await writeFile(join(home, 'init.sql'), initialStatements(password), { mode: 0o600 })
  const logFile = join(home, 'server.log')
  await rm(logFile, { force: true })
  const server = startChild({
    command: 'sh',
    args: [
      ...['-c', script, 'database', mariadb.installer, mariadb.server],
      ...serverOptions(port, dir !== undefined),
      ...args,
    ],
    cwd: home,
    logFile,
    graceMilliseconds: 30_000,
    ...(dir === undefined && { stopSignal: 'SIGKILL', throwaway: home }),
  })
  try {
    await untilReady(server, url)
  } catch (error) {
    await server.close()
    throw error
  }
  return { ...server, url }
}

/**
 * Creates the data the first time, under another name until it is whole, then becomes the server. The socket's path is
 * relative, to the data: an absolute one may pass the 107 bytes that a socket's path may have. Temporary files are its
 * own: servers that are created at the same moment give theirs the same names.
 */
const script = `set -e
installer=$1 server=$2
shift 2
export TMPDIR="$PWD/tmp"
mkdir -p tmp
if [ ! -d data ]; then
  rm -rf unfinished
  "$installer" --no-defaults --datadir=./unfinished --skip-test-db "$@"
  mv unfinished data
fi
exec "$server" --no-defaults --datadir=./data --init-file="$PWD/init.sql" --socket=server.sock "$@"
`

function serverOptions(port: number, keep: boolean): string[] {
  return [
    `--port=${port}`,
    '--bind-address=127.0.0.1',
    '--skip-name-resolve',
    '--character-set-server=utf8mb4',
    '--collation-server=utf8mb4_bin',
    '--performance-schema=off',
    '--innodb-buffer-pool-size=32M',
    '--innodb-log-file-size=16M',
    ...(keep ? [] : ['--innodb-flush-log-at-trx-commit=0', '--innodb-doublewrite=0']),
    // It refuses to run as root unless told so in as many words.
    ...(process.getuid?.() === 0 ? ['--user=root'] : []),
  ]
}

function initialStatements(password: string): string {
  return `CREATE DATABASE IF NOT EXISTS promenade;
CREATE USER IF NOT EXISTS 'promenade'@'127.0.0.1';
ALTER USER 'promenade'@'127.0.0.1' IDENTIFIED BY '${password}';
GRANT ALL ON *.* TO 'promenade'@'127.0.0.1';
`
}

async function untilReady(server: Child, url: string): Promise<void> {
  const deadline = Date.now() + readyMilliseconds
  for (;;) {
    const ended = await Promise.race([server.ended, sleep(20)])
    try {
      const connection = await createConnection({ uri: url, connectTimeout: 2_000 })
      return await connection.end()
    } catch (error) {
      if (ended === undefined && Date.now() < deadline) continue
      const state = ended === undefined ? `is not ready after ${readyMilliseconds / 1000} s` : `ended: ${ended}`
      throw new Error(`the database server ${state}; its log ends with:\n${await logTail(server.logFile, 40)}`, {
        cause: error,
      })
    }
  }
}

export async function freePort(): Promise<number> {
  const probe = createServer()
  return await new Promise((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as { port: number }
      probe.close(() => resolve(port))
    })
  })
}
