import { CheckpointError } from '../checkpoint-error.ts'
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

    /**
     * A transposed convolution that multiplies the time by `ratio`, with a kernel twice as long: every stretch of
     * `ratio` samples is made of two neighbours in time, so an ordinary convolution over pairs gives all samples of a
     * stretch as channels. ONNX Runtime's own operator takes several times as long.
     */
    upsample(name: string, signal: Signal, options: { outputs: number; ratio: number }): Signal {
      const { outputs, ratio } = options
      const place = scope.at(name)
      const full = `audio_encoder.decoder.${name}.conv`
      const weight = readWeightNormed(checkpoint, full, [signal.channels, outputs, 2 * ratio])
      const pairs = pairwise(weight, { inputs: signal.channels, outputs, ratio })
      const bias = checkpoint.read(`${full}.bias`, [outputs])
      const perSample = Float32Array.from({ length: outputs * ratio }, (_, i) => bias[Math.floor(i / ratio)]!)
      const stretches = place.op(
        'Conv',
        [
          signal.x,
          place.weight('weight', [outputs * ratio, signal.channels, 2], pairs),
          place.weight('bias', [outputs * ratio], perSample),
        ],
        { pads: [1, 1] },
      )
      // [tracks, outputs x ratio, stretches] to [tracks, outputs, samples]
      const apart = place.op('Reshape', [stretches, place.int64([0, outputs, ratio, -1])])
      const inTime = place.op('Transpose', [apart], { perm: [0, 1, 3, 2] })
      const samples = place.op('Reshape', [inTime, place.int64([0, outputs, -1])])
      // There is one stretch more than frames, cut from the two ends.
      const right = audio.use_causal_conv ? Math.ceil(ratio * audio.trim_right_ratio) : Math.floor(ratio / 2)
      const end = right ? -right : Number.MAX_SAFE_INTEGER
      const x = place.op('Slice', [samples, place.int64([ratio - right]), place.int64([end]), place.int64([2])])
      return { x, channels: outputs, shortest: signal.shortest * ratio }
    },
  }
}

/**
 * Taps [inputs, outputs, 2 x ratio] of a transposed convolution to [outputs x ratio, inputs, 2]: the frame before, then
 * this one.
 */
function pairwise(
  weight: Float32Array,
  { inputs, outputs, ratio }: { inputs: number; outputs: number; ratio: number },
): Float32Array {
  const pairs = new Float32Array(weight.length)
  for (let input = 0; input < inputs; input++) {
    for (let output = 0; output < outputs; output++) {
      for (let tap = 0; tap < 2 * ratio; tap++) {
        const row = output * ratio + (tap % ratio)
        pairs[(row * inputs + input) * 2 + (tap < ratio ? 1 : 0)] =
          weight[(input * outputs + output) * 2 * ratio + tap]!
      }
    }
  }
  return pairs
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
    if (!Number.isFinite(factor))
      throw new CheckpointError(`${directionName}: row ${row} is zero, expected a direction`)
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
