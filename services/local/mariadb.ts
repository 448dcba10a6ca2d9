import { spawnSync } from 'node:child_process'

export const howToInstallMariadb =
  'no MariaDB server found: install the package mariadb-server, or set DATABASE_URL to a MySQL-protocol database'

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
