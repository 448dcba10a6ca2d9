/**
 * `node services/local/bootstrap.js <entry.ts> [arguments]`: brings the packages, Node 24 among them, where they are
 * missing, and runs the entry under that Node. Plain JavaScript, since it starts under the Node that the system has.
 * It says what it does on standard error; standard output belongs to the entry.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { constants } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** [major, minor]: with the first this file runs, with the second the rest. */
const oldestToStart = [20, 0]
const oldestToRun = [24, 12]
const installMilliseconds = 10 * 60_000
const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const node = join(root, 'node_modules', '.bin', 'node')
/** The last signal that came while a command ran. */
let interruption

/** For the user: one line and no stack trace. */
class Refusal extends Error {
  status = 1
}

try {
  const [entry, ...args] = process.argv.slice(2)
  if (!entry) throw new Refusal('usage: node services/local/bootstrap.js <entry.ts> [arguments]')
  if (!isAtLeast(oldestToStart, process.versions.node)) {
    throw new Refusal(`needs Node ${oldestToStart.join('.')} or newer to begin with; this is ${process.versions.node}`)
  }
  if (!isInstalled()) await oneAtATime(install)
  await run(resolve(root, entry), args)
} catch (error) {
  if (!(error instanceof Refusal)) throw error
  console.error(`promenade: ${error.message}`)
  process.exitCode = error.status
}

/** Whether npm's own record of node_modules has every package of package-lock.json; it is written last. */
function isInstalled() {
  const record = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(record) || !existsSync(node)) return false
  const present = readPackages(record)
  const wanted = Object.entries(readPackages(join(root, 'package-lock.json')))
  return wanted.every(([path, { version, optional }]) => !path || optional || present[path]?.version === version)
}

function readPackages(lockFile) {
  return JSON.parse(readFileSync(lockFile, 'utf8')).packages
}

async function install() {
  if (isInstalled()) return
  const packages = join(root, 'node_modules')
  if (lstatSync(packages, { throwIfNoEntry: false })?.isSymbolicLink()) {
    throw new Refusal(`${packages} is a symbolic link, and npm ci would empty what it leads to: remove the link first`)
  }
  console.error('promenade: installing the packages and Node 24 (npm ci); this happens once')
  const how = await runToEnd('npm', ['ci', '--loglevel=error', '--no-audit', '--no-fund'], {
    cwd: root,
    env: { ONNXRUNTIME_NODE_INSTALL: 'skip', ...process.env },
    stdio: ['ignore', 2, 2],
    timeout: installMilliseconds,
  })
  if (interruption) throw Object.assign(new Refusal(`${interruption}: stopped`), { status: statusOf(interruption) })
  if (how !== 0) throw new Refusal(`npm ci ended with ${how}; what it said is above`)
  const { status, stdout, error } = spawnSync(node, ['--version'], { encoding: 'utf8', timeout: 30_000 })
  if (status !== 0 || !isAtLeast(oldestToRun, stdout.slice(1))) {
    const found = error?.message ?? `it says "${stdout.trim()}", exit status ${status}`
    throw new Refusal(`the Node of the package "node" must run and be ${oldestToRun.join('.')} or newer; ${found}`)
  }
}

/** Holds a port while it works: unlike a file, the system gives that back however the holder ends. */
async function oneAtATime(work) {
  const port = 20_000 + (createHash('sha256').update(root).digest().readUInt16BE() % 10_000)
  const deadline = Date.now() + installMilliseconds
  for (let told = false; ; told = true) {
    const lock = createServer().listen({ port, host: '127.0.0.1' })
    try {
      await once(lock, 'listening')
    } catch (error) {
      if (error.code !== 'EADDRINUSE') throw error
      if (Date.now() > deadline) throw new Refusal(`another installation still holds 127.0.0.1:${port}; end it first`)
      if (!told) console.error('promenade: waiting for another installation to finish')
      await sleep(250)
      continue
    }
    try {
      return await work()
    } finally {
      lock.close()
    }
  }
}

/** In this process where it is new enough, or under the Node of the packages. */
async function run(entry, args) {
  if (isAtLeast(oldestToRun, process.versions.node)) {
    process.argv.splice(1, process.argv.length, entry, ...args)
    await import(pathToFileURL(entry).href)
    return
  }
  const how = await runToEnd(node, [entry, ...args], { stdio: 'inherit' })
  process.exitCode = typeof how === 'number' ? how : statusOf(how)
}

/** The exit status, or the name of the signal that ended it. Signals meant for this process go on to the command. */
async function runToEnd(command, args, options) {
  const child = spawn(command, args, options)
  const forward = (signal) => {
    interruption = signal
    child.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, forward)
  try {
    const [status, signal] = await once(child, 'exit')
    return status ?? signal
  } catch (error) {
    throw new Refusal(`${command} cannot be started: ${error.message}`)
  } finally {
    for (const signal of signals) process.off(signal, forward)
  }
}

/** As a shell tells it. */
function statusOf(signal) {
  return 128 + constants.signals[signal]
}

function isAtLeast([major, minor], version) {
  const [foundMajor, foundMinor] = version.split('.').map(Number)
  return foundMajor > major || (foundMajor === major && foundMinor >= minor)
}
