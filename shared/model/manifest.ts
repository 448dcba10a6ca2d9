import Type, { type Static } from 'typebox'

/** Raised whenever graphs and runner stop understanding each other; models of another format must be built again. */
export const modelFormat = 4

export const manifestFile = 'manifest.json'
export const tokenizerFile = 'tokenizer.json'

/** Of the weights in the graphs. */
export const precisions = ['fp32', 'fp16', 'int8', 'int4'] as const
export type Precision = (typeof precisions)[number]

const count = Type.Integer({ minimum: 1 })

const common = {
  format: Type.Literal(modelFormat),
  name: Type.String({ minLength: 1 }),
  /** `generated` checkpoints have seeded random weights: what they say means nothing. */
  source: Type.Object({ repository: Type.String(), revision: Type.String(), generated: Type.Boolean() }),
  license: Type.String(),
  precision: Type.Enum([...precisions]),
  /** Digest of the builder's own sources: graphs made by others may be out of date. */
  builder: Type.Optional(Type.String()),
  builtAt: Type.String({ format: 'date-time' }),
  /** Every file of the model but this one, by name. */
  files: Type.Record(Type.String(), Type.Object({ bytes: Type.Integer({ minimum: 0 }), sha256: Type.String() })),
}

/** What the runner must know of a MusicGen model; all sizes are read from the checkpoint. */
export const MusicManifest = Type.Object({
  ...common,
  kind: Type.Literal('musicgen'),
  music: Type.Object({
    layers: count,
    heads: count,
    /** Width of one attention head. */
    headWidth: count,
    codebooks: count,
    /** Entries of a codebook; the start (and padding) token is the number after the last. */
    codebookSize: count,
    /** Columns by which each codebook runs late in the delay pattern. */
    delays: Type.Array(Type.Integer({ minimum: 0 }), { minItems: 1 }),
    /** EnCodec frames per second of sound. */
    frameRate: Type.Number({ exclusiveMinimum: 0 }),
    /** Hz. */
    sampleRate: count,
    /** 1 mono, 2 stereo. */
    channels: count,
    /** Guided graphs run each clip twice, with and without its text. */
    guided: Type.Boolean(),
    guidanceScale: Type.Number(),
    topK: count,
    temperature: Type.Number({ exclusiveMinimum: 0 }),
    /** Tokens of a prompt beyond this number are cut. */
    maxTextTokens: count,
    /** Id of the token that pads prompts of a batch to one length; masked, so its value is never heard. */
    textPadToken: Type.Integer({ minimum: 0 }),
  }),
})
export type MusicManifest = Static<typeof MusicManifest>

/** From the checkpoint's preprocessor_config.json. */
export const ImageSpec = Type.Object({
  /** Pixels; the shorter side is resized to this, or both when `keepAspect` is false. */
  resize: count,
  keepAspect: Type.Boolean(),
  /** Side of the square cut from the centre, in pixels: the graph's height and width. */
  crop: count,
  resample: Type.Enum(['nearest', 'bilinear', 'bicubic', 'lanczos3']),
  /** Of red, green and blue, each from 0 to 1. */
  mean: Type.Tuple([Type.Number(), Type.Number(), Type.Number()]),
  deviation: Type.Tuple([Type.Number(), Type.Number(), Type.Number()]),
})
export type ImageSpec = Static<typeof ImageSpec>

export const ClassifierManifest = Type.Object({
  ...common,
  kind: Type.Literal('classifier'),
  classifier: Type.Object({
    /** Each sees the picture in its own way; together they give `imageClassifier`'s outputs. */
    graphs: Type.Array(Type.Object({ file: Type.String({ minLength: 1 }), image: ImageSpec }), { minItems: 1 }),
    genres: Type.Array(Type.String(), { minItems: 1 }),
    styles: Type.Array(Type.String(), { minItems: 5 }),
    /** Absent when no graph gives an embedding. */
    embeddingWidth: Type.Optional(count),
  }),
})
export type ClassifierManifest = Static<typeof ClassifierManifest>
