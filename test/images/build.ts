import { execFile } from 'node:child_process'
import { linkSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync } from 'node:fs'
import { cp, mkdir } from 'node:fs/promises'
import { basename, join, relative, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Env, Instruction } from 'dockerfile-ast'
import {
  copyOf,
  isCopy,
  isHidden,
  readStages,
  root,
  type Stage,
  stageNamed,
  stepsOfImage,
  wordsOf,
} from './dockerfile.ts'

const runMs = 300_000

/** An image as a folder: what a container of it would begin with. */
export interface Image {
  /** Its working directory. */
  folder: string
  env: Record<string, string>
  command: string[]
  healthcheck: string[]
  /** Steps that were not run. */
  leftOut: string[]
}

/** Folders as they were after the steps of the key: what was run for one image is not run again for the next. */
export type Layers = Map<string, string>

/**
 * Builds an image as far as that goes without an engine: copies what the steps copy and runs what they run, in folders below
 * `parent` in place of base images. What is run with absolute paths is for the base image, and left out.
 */
export async function buildImage(
  file: string,
  { parent, args = {}, layers }: { parent: string; args?: Record<string, string>; layers: Layers },
): Promise<Image> {
  const stages = readStages(file, args)
  const folders = new Map<Stage, { top: string; workdir: string }>()
  const leftOut: string[] = []

  /** A stage on top of another goes on in its folder. */
  async function build(stage: Stage): Promise<{ top: string; workdir: string }> {
    const known = folders.get(stage)
    if (known) return known
    const base = stageNamed(stages, stage.base)
    const { top, workdir } = base
      ? await build(base)
      : { top: join(parent, file, String(stages.indexOf(stage))), workdir: '/' }
    const place = { top, workdir }
    folders.set(stage, place)
    for (const [i, step] of stage.steps.entries()) {
      const layer = [stage.base, ...stage.steps.slice(0, i + 1)].join('\n')
      await take(step, place, layer)
    }
    return place
  }

  async function take(step: Instruction, place: { top: string; workdir: string }, layer: string): Promise<void> {
    const text = step.getArgumentsContent() ?? ''
    if (step.getKeyword() === 'WORKDIR') place.workdir = resolve(place.workdir, text)
    const workdir = join(place.top, place.workdir)
    await mkdir(workdir, { recursive: true })
    if (isCopy(step)) return copy(step, place)
    if (step.getKeyword() !== 'RUN') return
    if (/\s\/\w/.test(text)) {
      leftOut.push(text)
      return
    }
    const known = layers.get(layer)
    if (known) {
      rmSync(place.top, { recursive: true })
      return linkFolder(known, place.top)
    }
    await promisify(execFile)('sh', ['-c', text], { cwd: workdir, env: plainEnv(), timeout: runMs })
    const kept = join(parent, `layer-${layers.size}`)
    linkFolder(place.top, kept)
    layers.set(layer, kept)
  }

  async function copy(step: Instruction, { top, workdir }: { top: string; workdir: string }): Promise<void> {
    const { from, sources, to } = copyOf(step)
    const stage = stageNamed(stages, from)
    const context = stage ? (await build(stage)).top : root
    const target = join(top, resolve(workdir, to))
    for (const source of sources) {
      const place = to.endsWith('/') ? join(target, basename(source)) : target
      if (stage) linkFolder(join(context, source), place)
      else
        await cp(join(context, source), place, { recursive: true, filter: (path) => !isHidden(relative(root, path)) })
    }
  }

  const last = stages.at(-1)!
  const { top, workdir } = await build(last)
  const steps = stepsOfImage(stages)
  const variables = steps.filter((step) => step.getKeyword() === 'ENV').flatMap((step) => (step as Env).getProperties())
  return {
    folder: join(top, workdir),
    env: Object.fromEntries(variables.map((each) => [each.getName(), each.getValue()!])),
    command: [...(wordsOf(steps, 'ENTRYPOINT') ?? []), ...(wordsOf(steps, 'CMD') ?? [])],
    healthcheck: wordsOf(steps, 'HEALTHCHECK')!,
    leftOut,
  }
}

/** The files of a folder in another one beside those it has: the very same files, which steps remove and add, and never change. */
function linkFolder(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const entry of readdirSync(from, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name)
    const target = join(to, relative(from, path))
    if (entry.isDirectory()) mkdirSync(target, { recursive: true })
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(path), target)
    else linkSync(path, target)
  }
}

/** Without what this test's own runner, and npm, tell their children. */
function plainEnv(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(npm_|NODE_TEST_CONTEXT|ONNXRUNTIME_)/i.test(name)),
  )
}
