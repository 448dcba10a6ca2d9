import { createHash } from 'node:crypto'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { UsageError } from '#shared/command-line.ts'
import type { Logger } from '#shared/logger.ts'
import { ClassifierManifest, MusicManifest, manifestFile, modelFormat } from '#shared/model/manifest.ts'
import { readModel } from '../onnx/model-folder.ts'
import { createVolumeLock } from './volume-lock.ts'

/** `missing`: not there as the consumer wants it. `unverified`: there, but its bytes were never compared with its manifest. */
type State = 'missing' | 'unverified' | 'verified'

/**
 * Where on a volume the models are: those of another format are for the pods of another image, which may work, or come
 * back, while these are built.
 */
export function modelDirOf(volume: string): string {
  return join(volume, `format-${modelFormat}`)
}

/**
 * Sees to it that the volume has the models that the consumer wants. Those that it lacks are pulled and built, and each is
 * verified once, by one pod at a time, whatever its format; where all is done, nothing is. Checkpoints are for all formats.
 * `run` resolves to the exit status of `npm run models -- <arguments>` with MODEL_DIR. Throws Error and UsageError when one
 * fails, and when the signal comes first.
 */
export async function provideModels({
  volume,
  modelDir,
  music,
  classifier,
  run,
  signal,
  logger,
}: {
  volume: string
  /** Below the volume. */
  modelDir: string
  /** Names of models. */
  music: string
  classifier: string
  run: (...args: string[]) => Promise<number>
  signal: AbortSignal
  logger: Logger
}): Promise<void> {
  const schemas = { [music]: MusicManifest, [classifier]: ClassifierManifest }
  const digestFile = (name: string) => join(modelDir, `.${name}.verified`)
  const readDigest = async (name: string) =>
    createHash('sha256')
      .update(await readFile(join(modelDir, name, manifestFile)))
      .digest('hex')

  async function stateOf(name: string): Promise<{ name: string; state: State; fault?: string }> {
    try {
      await readModel(modelDir, name, schemas[name]!)
    } catch (error) {
      return { name, state: 'missing', fault: (error as Error).message }
    }
    const verified = await readFile(digestFile(name), 'utf8').catch(() => undefined)
    return { name, state: verified === (await readDigest(name)) ? 'verified' : 'unverified' }
  }

  async function find(wanted: State) {
    const states = await Promise.all(Object.keys(schemas).map(stateOf))
    return states.filter(({ state }) => state === wanted)
  }

  /** Whether it ended well. */
  async function attempt(...args: string[]): Promise<boolean> {
    logger.info(`models ${args.join(' ')}`)
    const status = await run(...args)
    signal.throwIfAborted()
    if (status === 2) throw new UsageError(`npm run models -- ${args.join(' ')}: what is wrong is said above`)
    return status === 0
  }

  async function must(...args: string[]): Promise<void> {
    if (!(await attempt(...args))) throw new Error(`npm run models -- ${args.join(' ')} failed; what it said is above`)
  }

  async function shareCheckpoints(): Promise<void> {
    const shared = join(volume, '.checkpoints')
    await mkdir(shared, { recursive: true })
    await symlink(relative(modelDir, shared), join(modelDir, '.checkpoints')).catch(unlessThere)
  }

  async function prepare(): Promise<void> {
    await shareCheckpoints()
    const missing = await find('missing')
    for (const { fault } of missing) logger.info(fault)
    if (missing.length) {
      const names = missing.map(({ name }) => name)
      await must('pull', ...names)
      await must('build', ...names)
    }
    for (const { name } of await find('unverified')) {
      if (!(await attempt('verify', name))) {
        await must('pull', name)
        await must('build', '--force', name)
        await must('verify', name)
      }
      await writeFile(digestFile(name), await readDigest(name))
    }
  }

  await mkdir(modelDir, { recursive: true })
  const lock = createVolumeLock({ path: join(volume, '.preparing'), logger })
  const verified = await find('verified')
  if (verified.length < Object.keys(schemas).length) await lock.hold(signal, prepare)
}

function unlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}
