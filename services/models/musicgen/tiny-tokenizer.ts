/** Words of the prompts; any other is spelled. */
const words = `
a an and in of with the for on at to by
slow calm gentle soft quiet warm cool dark bright light deep low high rich tender playful solemn majestic intimate
dreamy mysterious melancholic joyful serene nervous dramatic restless lively noble raw heavy sparse dense fast medium
tempo beat bpm rhythm melody harmony theme texture mood feeling era style music piece song track score ambient
classical baroque romantic modern minimal jazz folk electronic orchestral chamber choral cinematic experimental
piano violin viola cello bass guitar lute harp flute oboe clarinet bassoon trumpet horn trombone organ harpsichord
synth synthesizer pad drum drums percussion timpani bells strings brass woodwinds choir voice quartet orchestra solo
major minor key waltz march hymn dance nocturne prelude fugue
`
const letters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?\'"()-&/+#%'

/**
 * A tokenizer.json like T5's: a Unigram model over a small vocabulary, spaces as ▁, the end token after every prompt.
 * Whole words are likelier than their letters.
 */
export function tinyTokenizer() {
  const vocab: [string, number][] = [
    ['<pad>', 0],
    ['</s>', 0],
    ['<unk>', 0],
    ['▁', -4],
    ...words
      .trim()
      .split(/\s+/)
      .map((word): [string, number] => [`▁${word}`, -6]),
    ...[...letters].map((letter): [string, number] => [letter, -8]),
  ]
  const special = ['<pad>', '</s>', '<unk>'].map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }))
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true } as const
  const sequence = { Sequence: { id: 'A', type_id: 0 } }
  const end = { SpecialToken: { id: '</s>', type_id: 0 } }
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special,
    normalizer: {
      type: 'Sequence',
      normalizers: [{ type: 'NFKC' }, { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }],
    },
    pre_tokenizer: metaspace,
    post_processor: {
      type: 'TemplateProcessing',
      single: [sequence, end],
      pair: [sequence, end, { Sequence: { id: 'B', type_id: 0 } }, end],
      special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
    },
    decoder: metaspace,
    model: { type: 'Unigram', unk_id: 2, vocab, byte_fallback: false },
  }
}
