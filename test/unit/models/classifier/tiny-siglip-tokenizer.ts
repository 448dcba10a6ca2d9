/** Whole words of labels; any other is spelled. */
const words =
  'a an and by in of the art artist example famous museum painting photograph portrait still life style work'
const letters = 'abcdefghijklmnopqrstuvwxyz0123456789é'
const end = '</s>'

const vocabulary: [string, number][] = [
  ['<pad>', 0],
  [end, 0],
  ['<unk>', 0],
  ['▁', -4],
  ...words.split(' ').map((word): [string, number] => [`▁${word}`, -6]),
  ...[...letters].map((letter): [string, number] => [letter, -8]),
]
export const vocabularySize = vocabulary.length

/** What tokenizer_config.json holds; SigLIP fills up with the end token. */
export function tinyTokenizerConfig({ maxTokens }: { maxTokens: number }) {
  return {
    tokenizer_class: 'PreTrainedTokenizerFast',
    eos_token: end,
    unk_token: '<unk>',
    pad_token: end,
    padding_side: 'right',
    model_max_length: maxTokens,
    model_input_names: ['input_ids'],
  }
}

/** What tokenizer.json holds: SigLIP's Unigram model, lower case without punctuation, over a small vocabulary. */
export function tinyTokenizer() {
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true } as const
  const sequence = { Sequence: { id: 'A', type_id: 0 } }
  const endToken = { SpecialToken: { id: end, type_id: 0 } }
  const flags = { single_word: false, lstrip: true, rstrip: true, normalized: false, special: true }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [1, 2].map((id) => ({ id, content: vocabulary[id]![0], ...flags })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Lowercase' },
        { type: 'Replace', pattern: { Regex: '[!"#$%&\'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]' }, content: '' },
        { type: 'Replace', pattern: { Regex: '\\s+' }, content: ' ' },
        { type: 'Strip', strip_left: true, strip_right: true },
        { type: 'NFKC' },
      ],
    },
    pre_tokenizer: metaspace,
    post_processor: {
      type: 'TemplateProcessing',
      single: [sequence, endToken],
      pair: [sequence, endToken, { Sequence: { id: 'B', type_id: 0 } }, endToken],
      special_tokens: { [end]: { id: end, ids: [1], tokens: [end] } },
    },
    decoder: metaspace,
    model: { type: 'Unigram', unk_id: 2, vocab: vocabulary, byte_fallback: false },
  }
}
