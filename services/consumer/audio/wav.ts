const headerBytes = 44
const bytesPerSample = 2
/** The largest sample; -32,768 is left unused, so that the scale is the same on both sides of zero. */
const fullScale = 32_767

/** Of a LIST chunk with one INFO in it, before the text. */
const commentHeaderBytes = 20

/** Sound as it leaves a model: one array per channel (left first), all of one length, full scale at -1 and 1. */
interface Sound {
  channels: Float32Array[]
  /** Hz. */
  sampleRate: number
}

/** What a file says of itself. */
interface Description {
  /** Hz. */
  sampleRate: number
  seconds: number
  comment: string | undefined
}

/**
 * A RIFF/WAVE file of PCM 16-bit little-endian samples, channels interleaved (Multimedia Programming Interface and
 * Data Specifications 1.0, Microsoft and IBM, 1991). A sample is `Math.round(32767 x)`: to the nearest, halves
 * upwards, no dither, so equal sound gives equal bytes. Sound that passes full scale is turned down as a whole until its
 * peak just fits; nothing is clipped. `comment`, which has no NUL, follows the samples as INFO's ICMT, in UTF-8.
 * Throws a RangeError on NaN, an infinity, no channel, or channels of unequal length.
 */
export function encodeWav({ channels, sampleRate, comment }: Sound & { comment?: string }): Buffer {
  const frames = channels[0]?.length
  if (frames === undefined) throw new RangeError('sound has at least one channel, found none')
  const unequal = channels.find((channel) => channel.length !== frames)
  if (unequal) {
    throw new RangeError(`all channels of a sound have one length, found ${frames} and ${unequal.length} samples`)
  }

  const gain = fullScale / Math.max(1, peakOf(channels))
  const dataBytes = frames * channels.length * bytesPerSample
  const tail = comment === undefined ? Buffer.alloc(0) : encodeComment(comment)
  const wav = Buffer.alloc(headerBytes + dataBytes + tail.length)
  writeHeader(wav, { channelCount: channels.length, sampleRate, dataBytes })
  tail.copy(wav, headerBytes + dataBytes)
  let offset = headerBytes
  for (let frame = 0; frame < frames; frame++) {
    for (const channel of channels) offset = wav.writeInt16LE(Math.round(channel[frame]! * gain), offset)
  }
  return wav
}

/** Of a file that `encodeWav` made; undefined for any other. */
export function readWav(wav: Buffer): Description | undefined {
  if (wav.length < headerBytes || !says(wav, 'RIFF', 0) || !says(wav, 'WAVEfmt ', 8) || !says(wav, 'data', 36)) {
    return undefined
  }
  const [sampleRate, bytesPerSecond, dataBytes] = [wav.readUInt32LE(24), wav.readUInt32LE(28), wav.readUInt32LE(40)]
  if (sampleRate === 0 || bytesPerSecond === 0) return undefined
  const comment = readComment(wav.subarray(headerBytes + dataBytes))
  return { sampleRate, seconds: dataBytes / bytesPerSecond, comment }
}

function readComment(chunk: Buffer): string | undefined {
  if (chunk.length < commentHeaderBytes || !says(chunk, 'LIST', 0) || !says(chunk, 'INFOICMT', 8)) return undefined
  const end = commentHeaderBytes + chunk.readUInt32LE(16) - 1
  return end < chunk.length ? chunk.toString('utf8', commentHeaderBytes, end) : undefined
}

function says(bytes: Buffer, name: string, at: number): boolean {
  return bytes.toString('latin1', at, at + name.length) === name
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
  wav.writeUInt32LE(wav.length - 8, 4)
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

function encodeComment(comment: string): Buffer {
  const text = Buffer.from(`${comment}\0`)
  const textBytes = text.length + (text.length % 2)
  const chunk = Buffer.alloc(commentHeaderBytes + textBytes)
  chunk.write('LIST', 0, 'latin1')
  chunk.writeUInt32LE(commentHeaderBytes - 8 + textBytes, 4)
  chunk.write('INFOICMT', 8, 'latin1')
  chunk.writeUInt32LE(text.length, 16)
  text.copy(chunk, commentHeaderBytes)
  return chunk
}
