import { matrix, type Random } from '../random-weights.ts'
import type { Tensor } from '../safetensors.ts'

export const tinyAudio = {
  model_type: 'encodec',
  norm_type: 'weight_norm',
  pad_mode: 'reflect',
  use_causal_conv: false,
  use_conv_shortcut: false,
  sampling_rate: 32000,
  audio_channels: 1,
  chunk_length_s: null,
  overlap: null,
  normalize: false,
  hidden_size: 16,
  codebook_dim: 16,
  codebook_size: 2048,
  // Thousands of bits per second: 4 codebooks x 11 bits x 50 frames.
  target_bandwidths: [2.2],
  num_filters: 4,
  num_residual_layers: 1,
  upsampling_ratios: [8, 5, 4, 4],
  kernel_size: 7,
  last_kernel_size: 7,
  residual_kernel_size: 3,
  dilation_growth_rate: 2,
  compress: 2,
  num_lstm_layers: 2,
}

/** EnCodec with its encoder, which is of no use here but belongs to the checkpoint. */
export function audioTensors(random: Random, audio: typeof tinyAudio, codebookCount: number): Tensor[] {
  const { hidden_size: width, num_filters: filters, upsampling_ratios: ratios, codebook_size: codebookSize } = audio
  const top = filters * 2 ** ratios.length

  const convolution = (name: string, dims: [number, number, number], outputs = dims[0], gain = 1) => {
    const fan = dims[1] * dims[2]
    return [
      random(`${name}.conv.bias`, [outputs], { deviation: 0.02 }),
      // Each row of the folded weight has this length: 1 keeps the scale of the input.
      random(`${name}.conv.parametrizations.weight.original0`, [dims[0], 1, 1], { mean: gain, deviation: 0.05 * gain }),
      random(`${name}.conv.parametrizations.weight.original1`, dims, { deviation: fan ** -0.5 }),
    ]
  }
  const lstm = (name: string) =>
    Array.from({ length: audio.num_lstm_layers }, (_, i) => [
      matrix(random, `${name}.lstm.weight_ih_l${i}`, 4 * top, top),
      matrix(random, `${name}.lstm.weight_hh_l${i}`, 4 * top, top),
      random(`${name}.lstm.bias_ih_l${i}`, [4 * top], { deviation: 0.1 }),
      random(`${name}.lstm.bias_hh_l${i}`, [4 * top], { deviation: 0.1 }),
    ]).flat()
  const residual = (name: string, channels: number) => {
    const hidden = channels / audio.compress
    return [
      ...convolution(`${name}.block.1`, [hidden, channels, audio.residual_kernel_size]),
      ...convolution(`${name}.block.3`, [channels, hidden, 1]),
      ...(audio.use_conv_shortcut ? convolution(`${name}.shortcut`, [channels, channels, 1]) : []),
    ]
  }
  const residualLayers = audio.num_residual_layers
  const residuals = (name: string, layer: number, channels: number) =>
    Array.from({ length: residualLayers }, (_, i) => residual(`${name}.${layer + i}`, channels)).flat()

  const encoder = (name: string) => {
    const tensors = convolution(`${name}.0`, [filters, audio.audio_channels, audio.kernel_size])
    let channels = filters
    let layer = 1
    for (const ratio of ratios.toReversed()) {
      tensors.push(...residuals(name, layer, channels))
      layer += residualLayers + 2
      tensors.push(...convolution(`${name}.${layer - 1}`, [2 * channels, channels, 2 * ratio]))
      channels *= 2
    }
    return [
      ...tensors,
      ...lstm(`${name}.${layer}`),
      ...convolution(`${name}.${layer + 2}`, [width, top, audio.last_kernel_size]),
    ]
  }
  const decoderOf = (name: string) => {
    const tensors = [...convolution(`${name}.0`, [top, width, audio.kernel_size]), ...lstm(`${name}.1`)]
    let channels = top
    let layer = 2
    for (const ratio of ratios) {
      const half = channels / 2
      tensors.push(...convolution(`${name}.${layer + 1}`, [channels, half, 2 * ratio], half, upsamplingGain(ratio)))
      tensors.push(...residuals(name, layer + 2, half))
      channels = half
      layer += residualLayers + 2
    }
    return [
      ...tensors,
      ...convolution(`${name}.${layer + 1}`, [audio.audio_channels, filters, audio.last_kernel_size], 1, loudness),
    ]
  }
  const codebooks = Array.from({ length: codebookCount }, (_, k) => {
    const name = `audio_encoder.quantizer.layers.${k}.codebook`
    const embed = random(`${name}.embed`, [codebookSize, width], { deviation: 0.5 })
    return [
      { name: `${name}.inited`, dims: [1], data: Float32Array.of(1) },
      { name: `${name}.cluster_size`, dims: [codebookSize], data: new Float32Array(codebookSize).fill(1) },
      embed,
      { ...embed, name: `${name}.embed_avg` },
    ]
  })
  return [...encoder('audio_encoder.encoder.layers'), ...decoderOf('audio_encoder.decoder.layers'), ...codebooks.flat()]
}

/** A transposed convolution has its rows by input channel, and its samples are sums of two taps only. */
const upsamplingGain = (ratio: number) => Math.sqrt(ratio)

/** Magnitude of the last convolution: peaks between 0.1 and 0.9. */
const loudness = 0.05
