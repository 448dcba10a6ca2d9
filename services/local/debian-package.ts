import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync, writeFileSync } from 'node:fs'

const aptGet = '/usr/bin/apt-get'
const servicePolicy = '/usr/sbin/policy-rc.d'
const runMilliseconds = 10 * 60_000

/** Debian or Ubuntu, as root. */
export function canInstallPackages(): boolean {
  return existsSync(aptGet) && process.getuid?.() === 0
}

/** Installs packages without starting their services. What apt-get says goes to standard error. Throws when it fails. */
export async function installPackages(names: string[]): Promise<void> {
  const install = ['install', '-y', '-q', '--no-install-recommends', ...names]
  await withoutStartingServices(async () => {
    // The lists of packages may be missing or old, which only a failure tells.
    if ((await run(install)) === 0) return
    await run(['update', '-q'])
    const how = await run(install)
    if (how !== 0) throw new Error(`apt-get install ${names.join(' ')} ended with ${how}; what it said is above`)
  })
}

/** Debian's way to say so; a policy that is there already is left alone. */
async function withoutStartingServices(install: () => Promise<void>): Promise<void> {
  const ours = !existsSync(servicePolicy)
  if (ours) writeFileSync(servicePolicy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await install()
  } finally {
    if (ours) rmSync(servicePolicy, { force: true })
  }
}

/** The exit status, or the signal that ended it. */
async function run(args: string[]): Promise<number | string> {
  // Waits for another installation, of ours or of the system's, to let go of the lock.
  const apt = spawn('env', ['DEBIAN_FRONTEND=noninteractive', aptGet, '-o', 'DPkg::Lock::Timeout=300', ...args], {
    stdio: ['ignore', 2, 2],
    timeout: runMilliseconds,
  })
  const [status, signal] = await once(apt, 'exit')
  return status ?? signal
}
