import type { Checkpoint } from '../safetensors.ts'

/**
 * Reads a weight-normalised convolution and folds it: g v / |v|, the norm over all dimensions but the first
 * (torch.nn.utils.parametrizations.weight_norm). Older checkpoints name the two parts weight_g and weight_v.
 */
export function readConvolution(
  checkpoint: Checkpoint,
  name: string,
  { dims, outputs }: { dims: [number, number, number]; outputs: number },
): { weight: Float32Array; bias: Float32Array } {
  const older = checkpoint.dims(`${name}.weight_g`) !== undefined
  const [magnitudeName, directionName] = older
    ? [`${name}.weight_g`, `${name}.weight_v`]
    : [`${name}.parametrizations.weight.original0`, `${name}.parametrizations.weight.original1`]
  const magnitude = checkpoint.read(magnitudeName, [dims[0], 1, 1])
  const weight = checkpoint.read(directionName, dims)
  const length = dims[1] * dims[2]
  for (let row = 0; row < dims[0]; row++) {
    const direction = weight.subarray(row * length, (row + 1) * length)
    const factor = magnitude[row]! / Math.hypot(...direction)
    for (let i = 0; i < length; i++) direction[i]! *= factor
  }
  return { weight, bias: checkpoint.read(`${name}.bias`, [outputs]) }
}
