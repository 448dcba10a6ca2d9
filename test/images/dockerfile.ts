import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Copy, DockerfileParser, type From, type Instruction, type ModifiableInstruction } from 'dockerfile-ast'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** One of the images that a Dockerfile builds on the way to the last. */
export interface Stage {
  name: string | undefined
  /** An image of a registry, or the name of an earlier stage. */
  base: string
  steps: Instruction[]
}

/** The stages of a Dockerfile; `args` replaces what its arguments before the first stage say. */
export function readStages(file: string, args: Record<string, string> = {}): Stage[] {
  const dockerfile = DockerfileParser.parse(readFileSync(join(root, file), 'utf8'))
  const given = dockerfile.getInitialARGs().map((arg) => arg.getProperty()!)
  const values = { ...Object.fromEntries(given.map((each) => [each.getName(), each.getValue()])), ...args }
  const stages: Stage[] = []
  for (const step of dockerfile.getInstructions()) {
    if (step.getKeyword() === 'FROM') {
      const from = step as From
      const base = from.getImage()!.replace(/^\$\{(\w+)\}$/, (_, name: string) => values[name]!)
      stages.push({ name: from.getBuildStage() ?? undefined, base, steps: [] })
    } else stages.at(-1)?.steps.push(step)
  }
  return stages
}

/** What the last stage has and does: its bases' steps, where those are stages, and its own. */
export function stepsOfImage(stages: Stage[]): Instruction[] {
  const steps: Instruction[] = []
  for (let stage = stages.at(-1); stage; stage = stageNamed(stages, stage.base)) steps.unshift(...stage.steps)
  return steps
}

export function stageNamed(stages: Stage[], name: string | undefined): Stage | undefined {
  return stages.find((stage) => stage.name !== undefined && stage.name === name)
}

/** The words of a step of this kind, JSON form or not; the last such step is the one that counts. */
export function wordsOf(steps: Instruction[], keyword: string): string[] | undefined {
  const text = steps.findLast((step) => step.getKeyword() === keyword)?.getArgumentsContent()
  if (!text) return undefined
  const json = /^(?:CMD )?(\[.*\])$/s.exec(text)
  return json ? JSON.parse(json[1]!) : text.split(/\s+/)
}

export function flagOf(step: Instruction, name: string): string | undefined {
  const flags = (step as ModifiableInstruction).getFlags?.() ?? []
  return flags.find((flag) => flag.getName() === name)?.getValue() ?? undefined
}

/** The stage that a COPY takes from, its sources and its destination. */
export function copyOf(step: Instruction): { from: string | undefined; sources: string[]; to: string } {
  const words = step.getArguments().map((word) => word.getValue())
  return { from: flagOf(step, 'from'), sources: words.slice(0, -1), to: words.at(-1)! }
}

export const isCopy = (step: Instruction): step is Copy => step.getKeyword() === 'COPY'

const ignoreRules = readFileSync(join(root, '.dockerignore'), 'utf8')
  .split('\n')
  .filter((line) => line && !line.startsWith('#'))
  .map((line) => ({ keeps: line.startsWith('!'), pattern: patternOf(line.replace('!', '')) }))

function patternOf(rule: string): RegExp {
  const parts = rule.split(/(\*\*\/|\*)/).map((part) => {
    if (part === '**/') return '(?:.*/)?'
    return part === '*' ? '[^/]*' : part.replace(/[.+?()[\]{}|^$\\]/g, '\\$&')
  })
  return new RegExp(`^${parts.join('')}$`)
}

/** Whether .dockerignore keeps a path of the repository from the engine: the last rule for it, or a folder that it is in, counts. */
export function isHidden(path: string): boolean {
  const names = path.split('/')
  const within = names.map((_, i) => names.slice(0, i + 1).join('/'))
  const rule = ignoreRules.findLast(({ pattern }) => within.some((each) => pattern.test(each)))
  return rule !== undefined && !rule.keeps
}
