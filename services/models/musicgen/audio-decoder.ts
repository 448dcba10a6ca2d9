import { audioDecoder } from '#shared/model/graph.ts'
import type { ModelFolder } from '../model-folder.ts'
import { createGraph, type Scope, type Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { AudioConfig, DecoderConfig } from './config.ts'
import { createConvolutions, type Signal } from './convolution.ts'
import { lstm } from './lstm.ts'

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

/** Vectors [tracks, hidden_size, frames] to sound [tracks, 1, samples]: the layers have the reference's numbers. */
function decodeFrames(
  scope: Scope,
  { checkpoint, audio, vectors }: { checkpoint: Checkpoint; audio: AudioConfig; vectors: Value },
): Value {
  const { upsampling_ratios: ratios, num_residual_layers: residualLayers } = audio
  const { convolve, upsample } = createConvolutions(scope, checkpoint, audio)
  const elu = (signal: Signal): Signal => ({ ...signal, x: scope.op('Elu', [signal.x]) })

  const residual = (name: string, signal: Signal, dilation: number): Signal => {
    const outputs = signal.channels / audio.compress
    const first = convolve(`${name}.block.1`, elu(signal), { outputs, kernel: audio.residual_kernel_size, dilation })
    const second = convolve(`${name}.block.3`, elu(first), { outputs: signal.channels, kernel: 1 })
    const shortcut = audio.use_conv_shortcut
      ? convolve(`${name}.shortcut`, signal, { outputs: signal.channels, kernel: 1 })
      : signal
    return { ...signal, x: scope.at(name).op('Add', [shortcut.x, second.x]) }
  }

  const width = audio.num_filters * 2 ** ratios.length
  const frames = { x: vectors, channels: audio.hidden_size, shortest: 1 }
  let signal = convolve('layers.0', frames, { outputs: width, kernel: audio.kernel_size })
  signal = { ...signal, x: recur(scope.at('layers.1'), signal.x, { checkpoint, layers: audio.num_lstm_layers, width }) }
  let layer = 2
  for (const ratio of ratios) {
    signal = upsample(`layers.${layer + 1}`, elu(signal), { outputs: signal.channels / 2, ratio })
    layer += 2
    for (let i = 0; i < residualLayers; i++) {
      signal = residual(`layers.${layer++}`, signal, audio.dilation_growth_rate ** i)
    }
  }
  return convolve(`layers.${layer + 1}`, elu(signal), { outputs: 1, kernel: audio.last_kernel_size }).x
}

/** [tracks, width, frames] through the LSTM and added to itself. */
function recur(scope: Scope, x: Value, options: { checkpoint: Checkpoint; layers: number; width: number }): Value {
  const inTime = scope.op('Transpose', [x], { perm: [2, 0, 1] })
  const output = lstm(scope, inTime, { name: 'audio_encoder.decoder.layers.1.lstm', ...options })
  return scope.op('Transpose', [scope.op('Add', [output, inTime])], { perm: [1, 2, 0] })
}
