/**
 * The graphs of a built model: file names, and the names of inputs and outputs on which builder and runner agree.
 */

/**
 * Text to the keys and values of every decoder layer's cross-attention.
 * in   inputIds [batch, text] int64, attentionMask [batch, text] int64 (1 real, 0 padding)
 * out  crossKeys, crossValues [layers, batch, heads, text, headWidth] float32
 *      hiddenStates [batch, text, textWidth] float32, the T5 encoder's last hidden states
 */
export const textEncoder = {
  file: 'text-encoder.onnx',
  inputIds: 'input_ids',
  attentionMask: 'attention_mask',
  crossKeys: 'cross_keys',
  crossValues: 'cross_values',
  hiddenStates: 'hidden_states',
} as const

/**
 * The rows that the decoder makes of a batch, always even: when guided conditional rows and then unconditional ones, else
 * the clips, and after an odd number of them a row that nobody hears.
 */
export const decoderRows = (guided: boolean, batch: number) => (guided ? 2 * batch : batch + (batch % 2))

/**
 * A chunk of the decode loop: as many steps as `uniforms` has. Column 0 of the delay pattern is all start tokens;
 * step i reads column position + i and samples column position + i + 1.
 * in   codes [batch, codebooks] int64, the column at `position`
 *      position [] int64
 *      frameCounts [batch] int64, frames of each clip: codebook k is free in the columns delay + 1 to
 *        delay + frames, with the manifest's delay of k, and holds the start token elsewhere
 *      uniforms [steps, batch, codebooks] float32 in [0, 1), the random draws
 *      guidanceScale [] float32 (guided graphs only), temperature [] float32, topK [] int64
 *      attentionMask [batch, text] int64, crossKeys and crossValues as the text encoder gives them
 *      pastKeys(layer), pastValues(layer) [rows (`decoderRows`), heads, position, headWidth] float32, what the steps before have made
 * out  columns [steps, batch, codebooks] int64, the sampled columns
 *      newKeys(layer), newValues(layer) [rows, heads, steps, headWidth] float32, what these steps have made
 *      logits [steps, batch, codebooks, codebookSize] float32, after guidance; only in graphs built for tests
 */
export const musicDecoder = {
  file: 'decoder.onnx',
  codes: 'codes',
  position: 'position',
  frameCounts: 'frame_counts',
  uniforms: 'uniforms',
  guidanceScale: 'guidance_scale',
  temperature: 'temperature',
  topK: 'top_k',
  attentionMask: 'attention_mask',
  crossKeys: 'cross_keys',
  crossValues: 'cross_values',
  pastKeys: (layer: number) => `past_keys.${layer}`,
  pastValues: (layer: number) => `past_values.${layer}`,
  columns: 'columns',
  newKeys: (layer: number) => `new_keys.${layer}`,
  newValues: (layer: number) => `new_values.${layer}`,
  logits: 'logits',
} as const

/**
 * EnCodec's decoder.
 * in   codes [batch, codebooks, frames] int64, the delay pattern undone
 * out  pcm [batch, channels, samples] float32, about -1 to 1
 */
export const audioDecoder = { file: 'audio-decoder.onnx', codes: 'codes', pcm: 'pcm' } as const

/**
 * A picture to probabilities over both label sets. One graph gives all of it, or two graphs give the genres and the
 * styles; the manifest lists their files.
 * in   pixelValues [batch, 3, crop, crop] float32, normalised
 * out  genres [batch, genres], styles [batch, styles] float32, each row sums to 1
 *      embedding [batch, embeddingWidth] float32, of length 1; ready-made classifiers have none
 */
export const imageClassifier = {
  file: 'image-classifier.onnx',
  pixelValues: 'pixel_values',
  genres: 'genre_probabilities',
  styles: 'style_probabilities',
  embedding: 'embedding',
} as const
