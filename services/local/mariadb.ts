import { spawnSync } from 'node:child_process'
import { canInstallPackages, installPackages } from './debian-package.ts'

const debianPackage = 'mariadb-server'

/** The database server is missing and cannot be brought from here; the message says what to do. */
export class MariadbMissingError extends Error {
  override name = 'MariadbMissingError'

  constructor() {
    super(
      `no MariaDB server found: install it (Debian: ${debianPackage}; elsewhere: mariadb), ` +
        'or name another MySQL-protocol database to npm run dev, with --database',
    )
  }
}

/** Paths of the two programs that a private database needs. */
export interface Mariadb {
  server: string
  installer: string
}

/** Looks along PATH and in the folders of servers that are not on every user's PATH. */
export function findMariadb(): Mariadb | undefined {
  const script = 'PATH="$PATH:/usr/sbin:/usr/local/sbin"; command -v mariadbd && command -v mariadb-install-db'
  const { status, stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8', timeout: 5_000 })
  const [server, installer] = stdout.split('\n')
  return status === 0 && server && installer ? { server, installer } : undefined
}

/** Installs the server on Debian and Ubuntu as root. Throws MariadbMissingError where that cannot be. */
export async function provideMariadb(say: (line: string) => void): Promise<void> {
  if (findMariadb()) return
  if (!canInstallPackages()) throw new MariadbMissingError()
  say(`installing the database server (apt-get install ${debianPackage}); this happens once`)
  await installPackages([debianPackage])
}
