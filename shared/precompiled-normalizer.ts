const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' })
/** Bytes of the longest grapheme that is looked up whole. */
const maxGraphemeBytes = 5

/**
 * sentencepiece's normalisation, as Hugging Face's tokenizers (Rust, spm_precompiled) carries it out: a grapheme, or else
 * each of its characters, becomes the text of the shortest entry that it begins with.
 * @param charsmap `precompiled_charsmap` of a tokenizer.json, base64: the bytes of a double array (darts-clone), the double
 * array, the texts in UTF-8, each ended by a zero. Throws RangeError when it is cut short.
 */
export function createPrecompiledNormalizer(charsmap: string): (text: string) => string {
  const blob = Buffer.from(charsmap, 'base64')
  const size = blob.length < 8 ? 0 : blob.readUInt32LE()
  if (size < 4 || size % 4 !== 0 || blob.length < 4 + size) {
    throw new RangeError(`precompiled_charsmap has ${blob.length} bytes, expected ${4 + size} or more`)
  }
  const units = Uint32Array.from({ length: size / 4 }, (_, i) => blob.readUInt32LE(4 + 4 * i))
  const texts = blob.subarray(4 + size)

  function replacement(part: Uint8Array): string | undefined {
    let position = below(0, units[0]!)
    for (const byte of part) {
      position ^= byte
      const unit = units[position]
      if (byte === 0 || unit === undefined || (unit & 0x8000_00ff) !== byte) return undefined
      position = below(position, unit)
      if (!((unit >>> 8) & 1)) continue
      const start = units[position]! & 0x7fff_ffff
      const end = texts.indexOf(0, start)
      return texts.toString('utf8', start, end === -1 ? undefined : end)
    }
    return undefined
  }

  return (text) => {
    let normal = ''
    for (const { segment } of graphemes.segment(text)) {
      const bytes = Buffer.from(segment)
      const whole = bytes.length <= maxGraphemeBytes ? replacement(bytes) : undefined
      normal += whole ?? Array.from(segment, (character) => replacement(Buffer.from(character)) ?? character).join('')
    }
    return normal
  }
}

/** Where the units of the next byte begin. */
function below(position: number, unit: number): number {
  return (position ^ ((unit >>> 10) << ((unit & 0x200) >>> 6))) >>> 0
}
