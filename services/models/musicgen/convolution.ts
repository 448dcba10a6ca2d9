import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { AudioConfig } from './config.ts'

/** Sound on its way through the layers: `x` is [tracks, channels, time]. */
export interface Signal {
  x: Value
  channels: number
  /** The time that a clip of one frame, the shortest there is, takes here. */
  shortest: number
}

/** EnCodec's convolutions, `name` below the checkpoint's audio_encoder.decoder; their nodes are below `scope`. */
export function createConvolutions(scope: Scope, checkpoint: Checkpoint, audio: AudioConfig) {
  type Dims = [number, number, number]
  const tensors = (place: Scope, name: string, dims: Dims, outputs: number) => {
    const full = `audio_encoder.decoder.${name}.conv`
    const weight = readWeightNormed(checkpoint, full, dims)
    return [
      place.weight('weight', dims, weight),
      place.weight('bias', [outputs], checkpoint.read(`${full}.bias`, [outputs])),
    ]
  }

  return {
    /** Keeps the time: pads on both sides, or all on the left when causal. */
    convolve(name: string, signal: Signal, options: { outputs: number; kernel: number; dilation?: number }): Signal {
      const { outputs, kernel, dilation = 1 } = options
      const place = scope.at(name)
      const total = (kernel - 1) * dilation
      const right = audio.use_causal_conv ? 0 : Math.floor(total / 2)
      const padded = total ? pad(place, signal, { left: total - right, right, mode: audio.pad_mode }) : signal.x
      const inputs = [padded, ...tensors(place, name, [outputs, signal.channels, kernel], outputs)]
      return { ...signal, x: place.op('Conv', inputs, { dilations: [dilation] }), channels: outputs }
    },

    /** Multiplies the time by `ratio`. The product is longer by `ratio` once more, which the pads cut from its ends. */
    upsample(name: string, signal: Signal, options: { outputs: number; ratio: number }): Signal {
      const { outputs, ratio } = options
      const place = scope.at(name)
      const right = audio.use_causal_conv ? Math.ceil(ratio * audio.trim_right_ratio) : Math.floor(ratio / 2)
      const inputs = [signal.x, ...tensors(place, name, [signal.channels, outputs, 2 * ratio], outputs)]
      const x = place.op('ConvTranspose', inputs, { strides: [ratio], pads: [ratio - right, right] })
      return { x, channels: outputs, shortest: signal.shortest * ratio }
    },
  }
}

/**
 * Folds weight normalisation: g v / |v|, the norm over all dimensions but the first
 * (torch.nn.utils.parametrizations.weight_norm). Older checkpoints name the two weight_g and weight_v.
 */
function readWeightNormed(checkpoint: Checkpoint, name: string, dims: [number, number, number]): Float32Array {
  const older = checkpoint.dims(`${name}.weight_g`) !== undefined
  const [magnitudeName, directionName] = older
    ? [`${name}.weight_g`, `${name}.weight_v`]
    : [`${name}.parametrizations.weight.original0`, `${name}.parametrizations.weight.original1`]
  const magnitude = checkpoint.read(magnitudeName, [dims[0], 1, 1])
  const weight = checkpoint.read(directionName, dims)
  const length = dims[1] * dims[2]
  for (let row = 0; row < dims[0]; row++) {
    const direction = weight.subarray(row * length, (row + 1) * length)
    const factor = magnitude[row]! / Math.sqrt(direction.reduce((sum, value) => sum + value * value, 0))
    for (let i = 0; i < length; i++) direction[i]! *= factor
  }
  return weight
}

const padModes = { reflect: 'reflect', constant: 'constant', replicate: 'edge' } as const

function pad(
  scope: Scope,
  { x, shortest }: Signal,
  { left, right, mode }: { left: number; right: number; mode: keyof typeof padModes },
): Value {
  const widest = Math.max(left, right)
  const sides = scope.int64([0, 0, left, 0, 0, right])
  if (mode !== 'reflect' || shortest > widest) return scope.op('Pad', [x, sides], { mode: padModes[mode] })
  // Sound too short to reflect gets zeros on its right first, which are cut off again afterwards.
  const missing = scope.op('Max', [
    scope.op('Sub', [scope.int64([widest + 1]), scope.op('Shape', [x], { start: 2 })]),
    scope.int64([0]),
  ])
  const zeros = scope.op('Concat', [scope.int64([0, 0, 0, 0, 0]), missing], { axis: 0 })
  const reflected = scope.op('Pad', [scope.op('Pad', [x, zeros]), sides], { mode: 'reflect' })
  const length = scope.op('Sub', [scope.op('Shape', [reflected], { start: 2 }), missing])
  return scope.op('Slice', [reflected, scope.int64([0]), length, scope.int64([2])])
}
