const startToken = '<|startoftext|>'
const endToken = '<|endoftext|>'
const merges = [
  't h',
  'th e</w>',
  'p a',
  'i n',
  'pa in',
  't in',
  'tin g</w>',
  'o f</w>',
  'a r',
  'ar t</w>',
  'i s',
  'is m</w>',
]
const vocabulary = [
  ...byteCharacters(),
  ...byteCharacters().map((c) => `${c}</w>`),
  ...merges.map((m) => m.replace(' ', '')),
]
export const startId = vocabulary.length
export const endId = startId + 1

/** What tokenizer_config.json holds. */
export function tinyTokenizerConfig({ maxTokens }: { maxTokens: number }) {
  return {
    tokenizer_class: 'CLIPTokenizer',
    bos_token: startToken,
    eos_token: endToken,
    unk_token: endToken,
    pad_token: endToken,
    model_max_length: maxTokens,
  }
}

/** What tokenizer.json holds: CLIP's byte-level BPE with 12 merges instead of 48,894. */
export function tinyTokenizer() {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: true, special: true }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [
      { id: startId, content: startToken, ...special },
      { id: endId, content: endToken, ...special },
    ],
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'NFC' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        {
          type: 'Split',
          pattern: { Regex: "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+" },
          behavior: 'Removed',
          invert: true,
        },
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true },
      ],
    },
    post_processor: {
      type: 'RobertaProcessing',
      sep: [endToken, endId],
      cls: [startToken, startId],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: endToken,
      continuing_subword_prefix: '',
      end_of_word_suffix: '</w>',
      fuse_unk: false,
      vocab: Object.fromEntries([...vocabulary, startToken, endToken].map((token, id) => [token, id])),
      merges,
    },
  }
}

/** GPT-2's visible character for each byte: printable bytes stand for themselves, the others follow from U+0100. */
function byteCharacters(): string[] {
  const printable = (byte: number) => (byte > 32 && byte < 127) || (byte > 160 && byte !== 173)
  const bytes = Array.from({ length: 256 }, (_, byte) => byte)
  return [...bytes.filter(printable), ...bytes.filter((byte) => !printable(byte)).map((_, i) => 256 + i)].map((code) =>
    String.fromCharCode(code),
  )
}
