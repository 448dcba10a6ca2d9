import { join } from 'node:path'
import type { Precision } from '#shared/model/manifest.ts'
import { type Entry, entryOf, type ModelName, modelNames } from './catalogue.ts'

/** One model in one precision: what is built into a folder of its own. */
export interface Target {
  /** The folder's: `musicgen-small` in its usual precision, `musicgen-small-fp32` in another. */
  name: string
  model: ModelName
  entry: Entry
  precision: Precision
}

export const targetDir = (modelDir: string, { name }: Target) => join(modelDir, name)

/** The model in `precision`, or in its usual one. Undefined when it cannot be had in it. */
export function targetOf(model: ModelName, precision?: Precision): Target | undefined {
  const entry = entryOf(model)
  const [usual] = entry.precisions
  const chosen = precision ?? usual
  if (!entry.precisions.includes(chosen)) return undefined
  return { name: chosen === usual ? model : `${model}-${chosen}`, model, entry, precision: chosen }
}

/** The target whose folder has this name, or whose name and precision are spelled out. */
export function parseTarget(text: string): Target | undefined {
  if (modelNames.includes(text as ModelName)) return targetOf(text as ModelName)
  return modelNames
    .flatMap((model) => entryOf(model).precisions.map((precision) => ({ model, precision })))
    .filter(({ model, precision }) => text === `${model}-${precision}`)
    .map(({ model, precision }) => targetOf(model, precision))[0]
}
