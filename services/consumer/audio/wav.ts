const headerBytes = 44
const bytesPerSample = 2
/** The largest sample; -32,768 is left unused, so that the scale is the same on both sides of zero. */
const fullScale = 32_767

/** Sound as it leaves a model: one array per channel (left first), all of one length, full scale at -1 and 1. */
interface Sound {
  channels: Float32Array[]
  /** Hz. */
  sampleRate: number
}

/**
 * A RIFF/WAVE file of PCM 16-bit little-endian samples, channels interleaved (Multimedia Programming Interface and
 * Data Specifications 1.0, Microsoft and IBM, 1991). A sample is `Math.round(32767 x)`: to the nearest, halves
 * upwards, no dither, so equal sound gives equal bytes. Sound that passes full scale is turned down as a whole until its
 * peak just fits; nothing is clipped. Throws a RangeError on NaN, an infinity, no channel, or channels of unequal length.
 */
export function encodeWav({ channels, sampleRate }: Sound): Buffer {
  const frames = channels[0]?.length
  if (frames === undefined) throw new RangeError('sound has at least one channel, found none')
  const unequal = channels.find((channel) => channel.length !== frames)
  if (unequal) {
    throw new RangeError(`all channels of a sound have one length, found ${frames} and ${unequal.length} samples`)
  }

  const gain = fullScale / Math.max(1, peakOf(channels))
  const dataBytes = frames * channels.length * bytesPerSample
  const wav = Buffer.alloc(headerBytes + dataBytes)
  writeHeader(wav, { channelCount: channels.length, sampleRate, dataBytes })
  let offset = headerBytes
  for (let frame = 0; frame < frames; frame++) {
    for (const channel of channels) offset = wav.writeInt16LE(Math.round(channel[frame]! * gain), offset)
  }
  return wav
}

function peakOf(channels: Float32Array[]): number {
  let peak = 0
  for (const [index, channel] of channels.entries()) {
    for (let frame = 0; frame < channel.length; frame++) {
      const sample = channel[frame]!
      if (!Number.isFinite(sample)) {
        throw new RangeError(`samples are finite numbers, found ${sample} in channel ${index} at sample ${frame}`)
      }
      peak = Math.max(peak, Math.abs(sample))
    }
  }
  return peak
}

function writeHeader(
  wav: Buffer,
  { channelCount, sampleRate, dataBytes }: { channelCount: number; sampleRate: number; dataBytes: number },
): void {
  const frameBytes = channelCount * bytesPerSample
  wav.write('RIFF', 0, 'latin1')
  wav.writeUInt32LE(headerBytes - 8 + dataBytes, 4)
  wav.write('WAVEfmt ', 8, 'latin1')
  wav.writeUInt32LE(16, 16) // bytes of the format chunk
  wav.writeUInt16LE(1, 20) // PCM
  wav.writeUInt16LE(channelCount, 22)
  wav.writeUInt32LE(sampleRate, 24)
  wav.writeUInt32LE(sampleRate * frameBytes, 28) // bytes per second
  wav.writeUInt16LE(frameBytes, 32)
  wav.writeUInt16LE(8 * bytesPerSample, 34) // bits per sample
  wav.write('data', 36, 'latin1')
  wav.writeUInt32LE(dataBytes, 40)
}
