import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeWav, readWav } from '../../../../services/consumer/audio/wav.ts'

/** Reads chunks by their names, as a player does; independent of the encoder. */
function parseWav(wav: Buffer) {
  assert.equal(wav.toString('latin1', 0, 4), 'RIFF')
  assert.equal(wav.readUInt32LE(4), wav.length - 8)
  assert.equal(wav.toString('latin1', 8, 12), 'WAVE')
  const chunks = new Map<string, Buffer>()
  for (let at = 12; at < wav.length; ) {
    const bytes = wav.readUInt32LE(at + 4)
    chunks.set(wav.toString('latin1', at, at + 4), wav.subarray(at + 8, at + 8 + bytes))
    at += 8 + bytes + (bytes % 2)
  }
  const format = chunks.get('fmt ')!
  const data = chunks.get('data')!
  const channelCount = format.readUInt16LE(2)
  const samples = Array.from({ length: data.length / 2 }, (_, i) => data.readInt16LE(2 * i))
  return {
    encoding: format.readUInt16LE(0),
    sampleRate: format.readUInt32LE(4),
    bytesPerSecond: format.readUInt32LE(8),
    frameBytes: format.readUInt16LE(12),
    bitsPerSample: format.readUInt16LE(14),
    channels: Array.from({ length: channelCount }, (_, c) => samples.filter((_, i) => i % channelCount === c)),
  }
}

const mono = (...samples: number[]) => encodeWav({ channels: [Float32Array.from(samples)], sampleRate: 32_000 })

test('a known sound gives known bytes', () => {
  assert.equal(
    mono(0, 1, -1, 0.5).toString('hex'),
    [
      '52494646', // RIFF
      '2c000000', // 44 bytes follow
      '57415645', // WAVE
      '666d7420', // fmt
      '10000000', // 16 bytes
      '0100', // PCM
      '0100', // 1 channel
      '007d0000', // 32,000 Hz
      '00fa0000', // 64,000 bytes per second
      '0200', // 2 bytes per frame
      '1000', // 16 bits
      '64617461', // data
      '08000000', // 8 bytes
      '0000', // 0
      'ff7f', // 32,767
      '0180', // -32,767
      '0040', // 16,384: 16,383.5 rounds up
    ].join(''),
  )
})

test('a comment follows the samples', () => {
  const wav = encodeWav({ channels: [Float32Array.of(1)], sampleRate: 32_000, comment: 'a 곡' })
  assert.equal(wav.readUInt32LE(4), wav.length - 8)
  assert.equal(
    wav.subarray(36).toString('hex'),
    [
      '64617461', // data
      '02000000', // 2 bytes
      'ff7f', // 32,767
      '4c495354', // LIST
      '12000000', // 18 bytes
      '494e464f', // INFO
      '49434d54', // ICMT
      '06000000', // 6 bytes
      '6120eab3a100', // a 곡, and the end
    ].join(''),
  )
  const even = parseWav(encodeWav({ channels: [Float32Array.of(1)], sampleRate: 32_000, comment: 'even' }))
  assert.deepEqual(even.channels, [[32_767]])
})

test('what a file says of itself is read back', () => {
  for (const comment of ['', 'a', 'ab', '{"prompt":"곡 \u{1f3b5}"}', '그'.repeat(10_000)]) {
    const channels = [new Float32Array(12_345), new Float32Array(12_345)]
    assert.deepEqual(readWav(encodeWav({ channels, sampleRate: 44_100, comment })), {
      sampleRate: 44_100,
      seconds: 12_345 / 44_100,
      comment,
    })
  }
  assert.deepEqual(readWav(mono(0)), { sampleRate: 32_000, seconds: 1 / 32_000, comment: undefined })
})

test('of no other file anything is read', () => {
  const wav = encodeWav({ channels: [Float32Array.of(1, 2)], sampleRate: 32_000, comment: 'comment' })
  for (let length = 0; length < 44; length++) assert.equal(readWav(wav.subarray(0, length)), undefined)
  for (let length = 44; length < wav.length - 1; length++) {
    assert.equal(readWav(wav.subarray(0, length))?.comment, undefined, `${length} bytes`)
  }
  for (const at of [0, 8, 12, 36]) assert.equal(readWav(Buffer.from(wav).fill('x', at, at + 4)), undefined)
  assert.equal(readWav(Buffer.from(wav).fill(0, 24, 28)), undefined, 'no sample rate')
  for (const at of [48, 56, 60]) assert.equal(readWav(Buffer.from(wav).fill('x', at, at + 4))?.comment, undefined)
  assert.equal(readWav(Buffer.from('RIFF, by somebody else')), undefined)
})

test('stereo interleaves left and right', () => {
  const wav = parseWav(
    encodeWav({ channels: [Float32Array.of(0.1, 0.2, 0.3), Float32Array.of(-0.1, -0.2, -0.3)], sampleRate: 48_000 }),
  )
  assert.deepEqual(wav, {
    encoding: 1,
    sampleRate: 48_000,
    bytesPerSecond: 192_000,
    frameBytes: 4,
    bitsPerSample: 16,
    channels: [
      [3277, 6553, 9830],
      [-3277, -6553, -9830],
    ],
  })
})

test('ten seconds come back to within half a step, and twice the same', () => {
  const sine = Float32Array.from({ length: 320_000 }, (_, i) => 0.8 * Math.sin((2 * Math.PI * 440 * i) / 32_000))
  const wav = encodeWav({ channels: [sine], sampleRate: 32_000 })
  assert.equal(wav.length, 44 + 640_000)
  const [samples] = parseWav(wav).channels
  assert.ok(samples!.every((sample, i) => Math.abs(sample / 32_767 - sine[i]!) <= 0.5001 / 32_767))
  assert.ok(wav.equals(encodeWav({ channels: [sine], sampleRate: 32_000 })))
})

test('silence stays silence, and no samples give a header', () => {
  assert.deepEqual(parseWav(mono(0, -0, 0)).channels, [[0, 0, 0]])
  assert.equal(mono().length, 44)
})

test('sound beyond full scale is turned down as a whole', () => {
  const wav = encodeWav({ channels: [Float32Array.of(2, -1, 0.5), Float32Array.of(0, -4, 1)], sampleRate: 32_000 })
  assert.deepEqual(parseWav(wav).channels, [
    [16384, -8192, 4096],
    [0, -32767, 8192],
  ])
  assert.deepEqual(parseWav(mono(3e38, -3e38)).channels, [[32767, -32767]])
})

test('what is not a sound is refused', () => {
  assert.throws(() => mono(0, Number.NaN), /RangeError: samples are finite numbers, found NaN in channel 0 at sample 1/)
  assert.throws(() => mono(Number.NEGATIVE_INFINITY), /found -Infinity/)
  assert.throws(() => encodeWav({ channels: [], sampleRate: 32_000 }), /at least one channel/)
  assert.throws(
    () => encodeWav({ channels: [new Float32Array(3), new Float32Array(2)], sampleRate: 32_000 }),
    /found 3 and 2 samples/,
  )
})
