import { join } from 'node:path'
import Type, { type Static, type TSchema } from 'typebox'
import type { ImageSpec } from '#shared/model/manifest.ts'
import { CheckpointError } from '../checkpoint-error.ts'
import { readCheckpointJson } from '../checkpoint-json.ts'

/**
 * transformers' image processors whose steps are resize, cut, rescale and normalise, and what theirs are where a
 * configuration leaves it out. `square`: a bare number as `size` means both sides and not the shorter one.
 */
const processors = {
  CLIP: { square: false, cut: true, resample: 3 },
  Bit: { square: false, cut: true, resample: 3 },
  Siglip: { square: false, cut: false, resample: 3 },
  ConvNext: { square: false, cut: false, resample: 3 },
  ViT: { square: true, cut: false, resample: 2 },
  DeiT: { square: true, cut: true, resample: 3 },
  Beit: { square: true, cut: false, resample: 3 },
} as const
type Processor = keyof typeof processors

const names = Object.keys(processors) as Processor[]
const Name = Type.Enum(names.flatMap((name) => suffixes().map((suffix) => `${name}${suffix}`)))
const pixels = Type.Integer({ minimum: 1 })
const Square = Type.Object({ height: pixels, width: pixels })
const color = (channel: ReturnType<typeof Type.Number>) => Type.Tuple([channel, channel, channel])

/** transformers' fast processors write what they leave out as null. */
const orNull = <S extends TSchema>(schema: S) => Type.Optional(Type.Union([schema, Type.Null()]))

const PreprocessorConfig = Type.Object({
  image_processor_type: Type.Optional(Name),
  feature_extractor_type: Type.Optional(Name),
  do_resize: Type.Literal(true, { default: true }),
  size: Type.Union([pixels, Type.Object({ shortest_edge: pixels }), Square]),
  /** ConvNext: the part of a resized picture's side that is kept. */
  crop_pct: Type.Number({ exclusiveMinimum: 0, maximum: 1, default: 224 / 256 }),
  resample: orNull(Type.Integer({ minimum: 0, maximum: 3 })),
  do_center_crop: orNull(Type.Boolean()),
  crop_size: orNull(Type.Union([pixels, Square])),
  do_rescale: Type.Boolean({ default: true }),
  rescale_factor: Type.Number({ exclusiveMinimum: 0, default: 1 / 255 }),
  do_normalize: Type.Boolean({ default: true }),
  image_mean: Type.Optional(color(Type.Number())),
  image_std: Type.Optional(color(Type.Number({ exclusiveMinimum: 0 }))),
})
type PreprocessorConfig = Static<typeof PreprocessorConfig>

/** PIL.Image.Resampling */
const resampling = ['nearest', 'lanczos3', 'bilinear', 'bicubic'] as const

/**
 * Reads preprocessor_config.json: how pictures become the pixel values that the checkpoint takes, `side` x `side` where
 * that is known. Throws CheckpointError with the field, what it must be and what it is.
 */
export function readImageSpec(checkpointDir: string, side?: number): ImageSpec {
  const path = join(checkpointDir, 'preprocessor_config.json')
  const config = readCheckpointJson(path, PreprocessorConfig)
  const fault = (field: string, found: unknown, expected: string) =>
    new CheckpointError(`${path}: ${field} is ${found ?? 'missing'}, expected ${expected}`)
  const squareSide = (field: 'size' | 'crop_size', { width, height }: Static<typeof Square>) => {
    if (width !== height) throw fault(field, `${width} x ${height}`, 'a square')
    return height
  }

  const processor = processorOf(config)
  const standard = processors[processor]
  const { size, crop_size: cropSize } = config
  const isSquare = typeof size === 'number' ? standard.square : 'height' in size
  const edge = typeof size === 'number' ? size : 'height' in size ? squareSide('size', size) : size.shortest_edge
  let [resize, keepAspect, crop] = [edge, !isSquare, edge]
  if (processor === 'ConvNext') {
    keepAspect = edge < 384
    if (keepAspect) resize = Math.trunc(edge / config.crop_pct)
  } else if (config.do_center_crop ?? standard.cut) {
    if (!cropSize) throw fault('crop_size', undefined, 'the side of the square that is cut out')
    crop = typeof cropSize === 'number' ? cropSize : squareSide('crop_size', cropSize)
    if (crop > resize) throw fault('crop_size', crop, `at most size, ${resize}`)
  } else if (keepAspect) {
    throw fault('size', JSON.stringify(size), 'height and width, since do_center_crop is false')
  }
  if (side !== undefined && crop !== side) {
    const field = resize === crop ? 'size' : 'crop_size'
    throw fault(field, crop, `config.json's image_size ${side}`)
  }
  const { mean, deviation } = normalization(config, (field) => fault(field, undefined, 'three numbers'))
  const resample = resampling[config.resample ?? standard.resample]!
  return { resize, keepAspect, crop, resample, mean, deviation }
}

/** Configurations without a name: those that cut are like CLIP's, the others like ViT's. */
function processorOf(config: PreprocessorConfig): Processor {
  const name = config.image_processor_type ?? config.feature_extractor_type
  if (name) return names.find((each) => suffixes().includes(name.slice(each.length)) && name.startsWith(each))!
  return config.crop_size ? 'CLIP' : 'ViT'
}

function suffixes(): string[] {
  return ['ImageProcessor', 'ImageProcessorFast', 'ImageProcessorPil', 'FeatureExtractor']
}

/**
 * Mean and deviation of values from 0 to 1, with the checkpoint's own scale in them:
 * (byte * factor - mean) / deviation = (byte / 255 - mean / (255 factor)) / (deviation / (255 factor)).
 */
function normalization(
  config: PreprocessorConfig,
  missing: (field: string) => Error,
): Pick<ImageSpec, 'mean' | 'deviation'> {
  const scale = config.do_rescale ? config.rescale_factor * 255 : 255
  const { image_mean: mean, image_std: deviation } = config.do_normalize
    ? config
    : { image_mean: [0, 0, 0] as const, image_std: [1, 1, 1] as const }
  if (!mean) throw missing('image_mean')
  if (!deviation) throw missing('image_std')
  // A checkpoint's 1/255 is often cut after some digits.
  const part = Math.abs(scale - 1) < 1e-6 ? 1 : scale
  return {
    mean: [mean[0] / part, mean[1] / part, mean[2] / part],
    deviation: [deviation[0] / part, deviation[1] / part, deviation[2] / part],
  }
}
