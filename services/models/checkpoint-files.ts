import { CheckpointError } from './checkpoint-error.ts'

export const isWeights = (name: string) => /^model(-\d+-of-\d+)?\.safetensors$/.test(name)

const single = 'model.safetensors'
const index = 'model.safetensors.index.json'

/**
 * Which of the files a model needs: those of its catalogue entry and the weights, in one file or in shards. Undefined
 * when there are no weights in safetensors. Throws CheckpointError when another file is missing.
 */
export function neededFiles(found: string[], required: readonly string[], where: string): string[] | undefined {
  const missing = required.filter((name) => !found.includes(name))
  if (missing.length) {
    throw new CheckpointError(`${where}: expected ${missing.join(', ')}, found ${found.join(', ') || 'nothing'}`)
  }
  if (found.includes(single)) return [...required, single]
  if (found.includes(index)) return [...required, index, ...found.filter(isWeights)]
  return undefined
}
