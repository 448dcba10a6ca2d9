import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium } from 'playwright-core'
import { canInstallPackages, installPackages } from '../../services/local/debian-package.ts'

/** The second is for what the page says in Korean. */
const debianPackages = ['chromium', 'fonts-nanum']
const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const maxScriptBytes = 64 * 1024
const otherwise = 'run `npx playwright-core install --with-deps chromium`, or set CHROMIUM=<path of the program>'

export class ChromiumMissingError extends Error {
  override name = 'ChromiumMissingError'
}

/** The program that CHROMIUM names, the first along PATH, or the one that Playwright has brought. */
export function findChromium({ CHROMIUM: named, PATH = '' }: NodeJS.ProcessEnv = process.env): string | undefined {
  if (named && !existsSync(named)) throw new ChromiumMissingError(`CHROMIUM=${named} does not exist`)
  if (named) return named
  const onPath = PATH.split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)))
  return [...onPath, chromium.executablePath()].find((file) => existsSync(file) && !isSnap(file))
}

/** Installs the browser on Debian as root. Throws ChromiumMissingError where that cannot be. */
export async function provideChromium(say: (line: string) => void): Promise<void> {
  if (findChromium()) return
  // Ubuntu's package is but a shim for a snap, which sees no folder of ours and needs a running snapd.
  if (isUbuntu()) throw new ChromiumMissingError(`no Chromium found that is not a snap, as Ubuntu's is: ${otherwise}`)
  const install = debianPackages.join(' ')
  if (!canInstallPackages()) {
    throw new ChromiumMissingError(`no Chromium found: install it (Debian: ${install}), or ${otherwise}`)
  }
  say(`installing a browser and a Korean font (apt-get install ${install}); this happens once`)
  await installPackages(debianPackages)
}

function isUbuntu(): boolean {
  const release = '/etc/os-release'
  return existsSync(release) && /^ID=ubuntu$/m.test(readFileSync(release, 'utf8'))
}

/** Linked to the snap's launcher, or a script that calls it. */
function isSnap(file: string): boolean {
  const program = realpathSync(file)
  if (/\/snap(\/|$)/.test(program)) return true
  return statSync(program).size < maxScriptBytes && readFileSync(program, 'utf8').includes('/snap/')
}
