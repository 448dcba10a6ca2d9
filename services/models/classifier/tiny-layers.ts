import type { Random } from '../random-weights.ts'
import type { Tensor } from '../safetensors.ts'

interface Sizes {
  hidden_size: number
  intermediate_size: number
  num_hidden_layers: number
}

/** Random weights of the parts that the towers of CLIP and SigLIP share. */
export function tinyLayers(random: Random) {
  const linear = (name: string, to: number, from: number): Tensor[] => [
    random(`${name}.weight`, [to, from], { deviation: from ** -0.5 }),
    random(`${name}.bias`, [to], { deviation: 0.1 }),
  ]
  const layerNorm = (name: string, width: number): Tensor[] => [
    random(`${name}.weight`, [width], { mean: 1, deviation: 0.1 }),
    random(`${name}.bias`, [width], { deviation: 0.1 }),
  ]
  const feedForward = (name: string, { hidden_size: width, intermediate_size: wide }: Sizes): Tensor[] => [
    ...linear(`${name}.fc1`, wide, width),
    ...linear(`${name}.fc2`, width, wide),
  ]
  const layers = (name: string, sizes: Sizes): Tensor[] => {
    const { hidden_size: width, num_hidden_layers } = sizes
    return Array.from({ length: num_hidden_layers }, (_, i) => `${name}.encoder.layers.${i}`).flatMap((layer) => [
      ...layerNorm(`${layer}.layer_norm1`, width),
      ...['q_proj', 'k_proj', 'v_proj', 'out_proj'].flatMap((part) =>
        linear(`${layer}.self_attn.${part}`, width, width),
      ),
      ...layerNorm(`${layer}.layer_norm2`, width),
      ...feedForward(`${layer}.mlp`, sizes),
    ])
  }
  return { linear, layerNorm, feedForward, layers }
}
