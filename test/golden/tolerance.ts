/** The largest absolute differences from the reference values that float32 graphs may show. */
export const tolerance = {
  /** T5's last hidden states. */
  state: 1e-4,
  /** MusicGen's, after guidance. */
  logit: 1e-3,
  /** Decibels of signal to noise that EnCodec's sound must at least have. */
  pcmDecibels: 60,
  /** CLIP's and SigLIP's image and text embeddings, of length 1. */
  embedding: 1e-5,
  /** The least cosine of an image embedding with that of the float32 graph, by precision. */
  embeddingCosine: { fp16: 0.99999, int8: 0.999, int4: 0.96 },
  /** Of a genre or a style. */
  probability: 1e-5,
  /** Of a normalised colour of a pixel, about -2 to 2. */
  pixelValue: 1e-5,
  /** Levels of 255, of pictures made ready for the classifier: none up to 8 times the size it needs. */
  pixel: 0,
  /** The same for larger pictures, at any one value and on average. */
  reducedPixel: { worst: 8, mean: 0.5 },
} as const

/** The largest errors of MusicGen's logits against float32: root mean square of the difference over that of the logits. */
export const precisionLoss = { fp16: 0.002, int8: 0.04, int4: 0.3 } as const
