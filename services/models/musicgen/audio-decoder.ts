import { audioDecoder } from '#shared/model/graph.ts'
import type { ModelFolder } from '../model-folder.ts'
import { createGraph, type Scope, type Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { AudioConfig, DecoderConfig } from './config.ts'
import { lstm } from './lstm.ts'
import { readConvolution } from './weight-norm.ts'

/**
 * EnCodec's decoder (transformers, models/encodec): the codebooks' vectors summed, then SEANet from frames to samples.
 * Stereo models interleave left and right codebooks; either channel is decoded on its own, as the reference does.
 */
export function writeAudioDecoder(
  folder: ModelFolder,
  { checkpoint, audio, decoder }: { checkpoint: Checkpoint; audio: AudioConfig; decoder: DecoderConfig },
): void {
  const { num_codebooks: codebooks, audio_channels: channels } = decoder
  const graph = createGraph(folder, audioDecoder.file)
  const codes = graph.input({ name: audioDecoder.codes, type: 'int64', dims: ['batch', codebooks, 'frames'] })
  const tracks = separateChannels(graph.at('channels'), codes, codebooks, channels)
  const scope = graph.at('audio_encoder')
  const vectors = sumCodebooks(scope.at('quantizer'), {
    checkpoint,
    audio,
    codes: tracks,
    codebooks: codebooks / channels,
  })
  const sound = decodeFrames(scope.at('decoder'), { checkpoint, audio, vectors })
  // [batch x channels, 1, samples]
  const samples = graph.op('Shape', [sound], { start: 2 })
  const pcm = graph.op('Reshape', [sound, graph.op('Concat', [graph.int64([-1, channels]), samples], { axis: 0 })])
  graph.output({ name: audioDecoder.pcm, type: 'float32', dims: ['batch', channels, 'samples'] }, pcm)
  graph.write()
}

/** [batch, codebooks, frames] to [batch x channels, codebooks of one channel, frames] */
function separateChannels(scope: Scope, codes: Value, codebooks: number, channels: number): Value {
  if (channels === 1) return codes
  const each = codebooks / channels
  const frames = scope.op('Shape', [codes], { start: 2 })
  const shape = (dims: number[]) => scope.op('Concat', [scope.int64(dims), frames], { axis: 0 })
  const pairs = scope.op('Reshape', [codes, shape([-1, each, channels])])
  return scope.op('Reshape', [scope.op('Transpose', [pairs], { perm: [0, 2, 1, 3] }), shape([-1, each])])
}

/** Codes [tracks, codebooks, frames] to vectors [tracks, hidden_size, frames]. */
function sumCodebooks(
  scope: Scope,
  options: { checkpoint: Checkpoint; audio: AudioConfig; codes: Value; codebooks: number },
): Value {
  const { checkpoint, audio, codes, codebooks } = options
  const { codebook_size: size, hidden_size: width } = audio
  const tables = new Float32Array(codebooks * size * width)
  for (let k = 0; k < codebooks; k++) {
    const name = `audio_encoder.quantizer.layers.${k}.codebook.embed`
    tables.set(checkpoint.read(name, [size, width]), k * size * width)
  }
  const table = scope.weight('embed', [codebooks * size, width], tables)
  const offsets = scope.op('Unsqueeze', [
    scope.int64(Array.from({ length: codebooks }, (_, k) => k * size)),
    scope.int64([1]),
  ])
  const vectors = scope.op('Gather', [table, scope.op('Add', [codes, offsets])])
  const sum = scope.op('ReduceSum', [vectors, scope.int64([1])], { keepdims: 0 })
  return scope.op('Transpose', [sum], { perm: [0, 2, 1] })
}

/** Vectors [tracks, hidden_size, frames] to sound [tracks, 1, samples]. */
function decodeFrames(
  scope: Scope,
  { checkpoint, audio, vectors }: { checkpoint: Checkpoint; audio: AudioConfig; vectors: Value },
): Value {
  const ratios = audio.upsampling_ratios
  const conv = createConvolution(checkpoint, audio)
  let channels = 2 ** ratios.length * audio.num_filters
  let layer = 0
  const place = () => `layers.${layer++}`

  let x = conv(scope, vectors, place(), {
    inputs: audio.hidden_size,
    outputs: channels,
    kernel: audio.kernel_size,
    shortest: 1,
  })
  const recurrent = place()
  x = skipLstm(scope.at(recurrent), x, {
    checkpoint,
    name: `audio_encoder.decoder.${recurrent}.lstm`,
    layers: audio.num_lstm_layers,
    width: channels,
  })
  /** Samples that a single frame has become by now. */
  let shortest = 1
  for (const ratio of ratios) {
    layer++
    x = upsample(scope, elu(scope, x), { checkpoint, audio, name: place(), channels, ratio })
    channels /= 2
    shortest *= ratio
    for (let i = 0; i < audio.num_residual_layers; i++) {
      const name = place()
      const hidden = channels / audio.compress
      const block = scope.at(name)
      const dilation = audio.dilation_growth_rate ** i
      const kernel = audio.residual_kernel_size
      const first = conv(scope, elu(block, x), `${name}.block.1`, {
        inputs: channels,
        outputs: hidden,
        kernel,
        dilation,
        shortest,
      })
      const second = conv(scope, elu(block, first), `${name}.block.3`, {
        inputs: hidden,
        outputs: channels,
        kernel: 1,
        shortest,
      })
      const shortcut = audio.use_conv_shortcut
        ? conv(scope, x, `${name}.shortcut`, { inputs: channels, outputs: channels, kernel: 1, shortest })
        : x
      x = block.op('Add', [shortcut, second])
    }
  }
  layer++
  return conv(scope, elu(scope, x), place(), {
    inputs: channels,
    outputs: audio.audio_channels,
    kernel: audio.last_kernel_size,
    shortest,
  })
}

const elu = (scope: Scope, x: Value) => scope.op('Elu', [x])

/** [tracks, width, frames] through the LSTM and added to itself. */
function skipLstm(scope: Scope, x: Value, options: Parameters<typeof lstm>[2]): Value {
  const inTime = scope.op('Transpose', [x], { perm: [2, 0, 1] })
  return scope.op('Transpose', [scope.op('Add', [lstm(scope, inTime, options), inTime])], { perm: [1, 2, 0] })
}

function upsample(
  scope: Scope,
  x: Value,
  options: { checkpoint: Checkpoint; audio: AudioConfig; name: string; channels: number; ratio: number },
): Value {
  const { checkpoint, audio, name, channels, ratio } = options
  const dims: [number, number, number] = [channels, channels / 2, 2 * ratio]
  const place = scope.at(name)
  const { weight, bias } = readConvolution(checkpoint, `audio_encoder.decoder.${name}.conv`, { dims, outputs: dims[1] })
  // The transposed convolution yields `ratio` samples too many, cut from its two ends by its pads.
  const right = audio.use_causal_conv ? Math.ceil(ratio * audio.trim_right_ratio) : Math.floor(ratio / 2)
  const inputs = [x, place.weight('weight', dims, weight), place.weight('bias', [dims[1]], bias)]
  return place.op('ConvTranspose', inputs, { strides: [ratio], pads: [ratio - right, right] })
}

interface Convolution {
  inputs: number
  outputs: number
  kernel: number
  dilation?: number
  /** The input has at least this many samples. */
  shortest: number
}

/** Convolutions of stride 1 that keep the length: the padding is at both ends, or all on the left when causal. */
function createConvolution(checkpoint: Checkpoint, audio: AudioConfig) {
  return (scope: Scope, x: Value, name: string, options: Convolution): Value => {
    const { inputs, outputs, kernel, dilation = 1, shortest } = options
    const place = scope.at(name)
    const dims: [number, number, number] = [outputs, inputs, kernel]
    const { weight, bias } = readConvolution(checkpoint, `audio_encoder.decoder.${name}.conv`, { dims, outputs })
    const total = (kernel - 1) * dilation
    const right = audio.use_causal_conv ? 0 : Math.floor(total / 2)
    const padded = total ? pad(place, x, { left: total - right, right, mode: audio.pad_mode, shortest }) : x
    const tensors = [padded, place.weight('weight', dims, weight), place.weight('bias', [outputs], bias)]
    return place.op('Conv', tensors, { dilations: [dilation] })
  }
}

const padModes = { reflect: 'reflect', constant: 'constant', replicate: 'edge' } as const

function pad(
  scope: Scope,
  x: Value,
  options: { left: number; right: number; mode: keyof typeof padModes; shortest: number },
): Value {
  const { left, right, mode, shortest } = options
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
