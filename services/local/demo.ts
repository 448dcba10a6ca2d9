import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, InvalidArgumentError } from 'commander'
import { runCommandLine } from '#shared/command-line.ts'
import { uploadsPrefix } from '#shared/contract/key.ts'
import type { Result } from '#shared/contract/result.ts'
import { fileFault } from '#shared/file-fault.ts'
import { createPathReader } from '#shared/user-path.ts'
import { openInBrowser } from './browser.ts'
import { closeChildren } from './child.ts'
import { createFolder } from './folder.ts'
import { saveMusic } from './music-file.ts'
import { choosePictures, type Picture } from './picture.ts'
import { type Pipeline, startPipeline } from './pipeline.ts'
import { createProgressDisplay } from './progress-display.ts'
import { drawSamplePictures } from './sample-pictures.ts'
import { fetchMusic, submitPicture } from './submission.ts'

const maxTimeoutSeconds = 24 * 60 * 60
/** Pictures uploaded and not yet printed, at most. */
const maxInWork = 32
const interrupted = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }
const localDir = fileURLToPath(new URL('../../.local', import.meta.url))
const say = (line: string) => process.stderr.write(`${line}\n`)
const readPath = createPathReader(process.env)
const readPaths = (text: string, before: string[] = []) => [...before, readPath(text)]

interface DemoOptions {
  out?: string
  timeout: number
  open?: true
}

let stopping = false
/** Ends the showing of the page: in order, since all is done by then. */
let leave: (() => void) | undefined

const command = new Command('npm run demo --')
  .description(
    'Runs the whole pipeline on this machine, with a private database that goes with it: pictures in, one line of JSON each ' +
      'and a WAV out.',
  )
  .argument('[picture...]', 'files; without any, a few are drawn for the occasion', readPaths)
  .option('--out <folder>', 'write the WAVs here instead of beside the pictures', readPath)
  .option('--timeout <seconds>', 'how long each picture may take', readSeconds, 600)
  .option('--open', 'then show the page with the results in the browser, until interrupted')
  .action((paths: string[], options: DemoOptions) =>
    demo(paths, options).catch((error: unknown) => {
      // When stopping, what fails is what was stopped.
      if (!stopping) throw error
    }),
  )

for (const [signal, status] of Object.entries(interrupted)) {
  process.on(signal, () => {
    if (leave) return leave()
    if (!stopping) say(`${signal}: stopping`)
    stop(status)
  })
}

await runCommandLine(command, { stop })

/** Once: the same interrupt may come twice, from the terminal and from npm. */
function stop(status: number): void {
  if (stopping) return
  stopping = true
  void closeChildren().finally(() => process.exit(status))
}

async function demo(paths: string[], { out, timeout: timeoutSeconds, open }: DemoOptions): Promise<void> {
  const start = performance.now()
  const pictures = await choosePictures(paths.length ? paths : await samplePictures(out), out)
  // Nobody else is to hear of what becomes of its pictures.
  const env = { ...process.env, WEBHOOKS: undefined }
  const pipeline = await startPipeline({ env, modelDir: join(localDir, 'models'), say })
  try {
    warnOfRandomWeights(pipeline)
    const complete = await analyse(pictures, pipeline, timeoutSeconds)
    if (complete < pictures.length) process.exitCode = 1
    const seconds = ((performance.now() - start) / 1000).toFixed(1)
    say(`${complete} of ${pictures.length} pictures have their music, after ${seconds} s`)
    if (open) await showPage(pipeline, paths.length === 1 ? pictures[0]!.key : undefined)
  } finally {
    await pipeline.close()
  }
}

/** Keeps the pipeline up until interrupted. Throws when it fails before. */
async function showPage({ apiUrl, failed }: Pipeline, key: string | undefined): Promise<void> {
  const left = new Promise<void>((resolve) => {
    leave = resolve
  })
  const view = key ? `results/${key.split('/').map(encodeURIComponent).join('/')}` : 'gallery'
  const address = `${apiUrl}/#/${view}`
  say(`showing ${address} until Ctrl-C`)
  void openInBrowser(address, () => say('no browser could be opened: open the address in one'))
  await Promise.race([left, failed])
  say('stopping')
}

async function samplePictures(out?: string): Promise<string[]> {
  const folder = out ?? join(localDir, 'demo')
  await createFolder(folder)
  say(`no picture was named: drawing a few into ${folder}`)
  return await drawSamplePictures(folder)
}

/**
 * Prints one line for each picture, in the order given; returns how many have their music. When the pipeline fails, what
 * it has done by then is printed before that is thrown.
 */
async function analyse(pictures: Picture[], pipeline: Pipeline, timeoutSeconds: number): Promise<number> {
  const stop = new AbortController()
  const display = createProgressDisplay(process.stderr)
  const submit = (picture: Picture) => {
    const onProgress = display.add(picture.key.slice(uploadsPrefix.length))
    const result = submitPicture({ pipeline, picture, timeoutSeconds, signal: stop.signal, onProgress })
    // Awaited when it is its turn.
    result.catch(() => {})
    return result
  }
  let isBroken = false
  const broken = pipeline.failed.catch(() => {
    isBroken = true
  })
  const submitted: Promise<Result>[] = []
  const lines: string[] = []
  const faults: string[] = []
  let complete = 0
  try {
    for (const [index, { path, wavPath }] of pictures.entries()) {
      if (!isBroken) submitted.push(...pictures.slice(submitted.length, index + maxInWork).map(submit))
      const result = await Promise.race([submitted[index]!, broken]).catch((error: unknown) => {
        faults.push(fileFault(path, 'no result', error))
      })
      if (!result) continue
      const wav = await keepMusic(wavPath, result).catch((error: unknown) => {
        faults.push(fileFault(wavPath, 'the music could not be written', error))
      })
      if (result.status === 'succeeded' && wav) complete++
      lines.push(`${JSON.stringify({ ...result, ...(wav && { wav }) })}\n`)
      // Not in between the bars.
      if (!process.stdout.isTTY) process.stdout.write(lines.pop()!)
    }
  } finally {
    stop.abort()
    display.close()
    process.stdout.write(lines.join(''))
    for (const fault of faults) say(fault)
  }
  if (complete < pictures.length) await Promise.race([pipeline.failed, undefined])
  return complete

  async function keepMusic(path: string, { music_url: url }: Result): Promise<string | undefined> {
    return url && (await saveMusic(path, await fetchMusic(pipeline, url)))
  }
}

function warnOfRandomWeights({ models }: Pipeline): void {
  const random = Object.values(models).filter((name) => name.startsWith('tiny-random'))
  if (random.length) say(`${random.join(' and ')} have random weights: the labels and the music mean nothing yet`)
}

function readSeconds(text: string): number {
  const seconds = Number(text)
  if (!(seconds > 0 && seconds <= maxTimeoutSeconds)) {
    throw new InvalidArgumentError(`It must be a number of seconds, more than 0 and at most ${maxTimeoutSeconds}.`)
  }
  return seconds
}
