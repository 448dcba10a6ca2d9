import type { Sharp } from 'sharp'
import { type Lab, labDistance, labOfRgb } from './cielab.ts'

/** What can be told of a picture without knowing what it shows. Always finite numbers. */
export interface PictureTraits {
  /** Mean CIE lightness L* over 100: 0 black, 1 white. */
  brightness: number
  /** RMS contrast (Peli 1990) of L*, over the largest there can be: 0 flat, 1 half black and half white. */
  contrast: number
  /** -1 cool to 1 warm, 0 for grays: the mean of `warmthOf` over the pixels. */
  warmth: number
  /** Hasler and Suesstrunk (2003), M3: 0 gray to 1, what their viewers called extremely colorful. */
  colorfulness: number
  /** One to three, the largest first. */
  dominantColors: DominantColor[]
}

interface DominantColor {
  lab: Lab
  /** Part of the picture's area, 0..1. */
  share: number
}

/** Pixels; a larger picture is averaged down to this, which bounds the work. */
const maxSide = 128
/** The value of M3 at "extremely colorful". */
const extremelyColorful = 109
/** Side of a histogram cell, in CIELAB units. */
const cellSide = 16
/** Cells this near to the fullest one are the same color, in CIELAB units. */
const sameColorDistance = 26
const maxDominantColors = 3
/** Colors of less area are left out, but for the largest. */
const minShare = 0.1

/**
 * Measures a picture whose bytes, pixels and format were bounded by whoever opened it; rejects with sharp's error when
 * it cannot be decoded. Transparent parts count as white paper. The same picture always gives the same numbers.
 */
export async function measurePicture(picture: Sharp): Promise<PictureTraits> {
  const rgb = await picture
    .clone()
    .resize(maxSide, maxSide, { fit: 'inside', withoutEnlargement: true })
    .flatten({ background: '#fff' })
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer()
  return traitsOfPixels(rgb)
}

/** The traits of sRGB pixels, [pixels, 3] flattened; at least one pixel. */
export function traitsOfPixels(rgb: Uint8Array): PictureTraits {
  const labs: Lab[] = []
  const brightness = createMoments()
  const warmth = createMoments()
  const redGreen = createMoments()
  const yellowBlue = createMoments()
  for (let i = 0; i + 2 < rgb.length; i += 3) {
    const [r, g, b] = [rgb[i]!, rgb[i + 1]!, rgb[i + 2]!]
    const lab = labOfRgb(r, g, b)
    labs.push(lab)
    brightness.add(lab[0] / 100)
    warmth.add(warmthOf(lab))
    redGreen.add(r - g)
    yellowBlue.add((r + g) / 2 - b)
  }
  const m3 =
    Math.hypot(redGreen.deviation(), yellowBlue.deviation()) + 0.3 * Math.hypot(redGreen.mean(), yellowBlue.mean())
  return {
    brightness: clamp(brightness.mean(), 0, 1),
    contrast: clamp(brightness.deviation() / 0.5, 0, 1),
    warmth: clamp(warmth.mean(), -1, 1),
    colorfulness: clamp(m3 / extremelyColorful, 0, 1),
    dominantColors: findDominantColors(labs),
  }
}

/**
 * The warm-cool scale of Ou, Luo, Woodcock and Wright, "A study of colour emotion and colour preference, part I"
 * (2004): -0.5 + 0.02 C*^1.07 cos(h - 50 degrees), without its offset, so that grays are neither warm nor cool.
 */
function warmthOf([, a, b]: Lab): number {
  return 0.02 * Math.hypot(a, b) ** 1.07 * Math.cos(Math.atan2(b, a) - (50 * Math.PI) / 180)
}

interface Cell {
  count: number
  /** Sums over the cell's pixels. */
  sums: [number, number, number]
}

/**
 * A histogram in CIELAB: the fullest cell and every cell whose mean color is near its own make one color, and so on
 * with the rest. Equally full cells keep the order in which their first pixels came.
 */
function findDominantColors(labs: Lab[]): DominantColor[] {
  let cells = fillHistogram(labs)
  const colors: DominantColor[] = []
  while (cells[0] && colors.length < maxDominantColors) {
    const seed = meanOf(cells[0])
    const isNear = (cell: Cell) => labDistance(meanOf(cell), seed) <= sameColorDistance
    const color = cells.filter(isNear).reduce(merge)
    colors.push({ lab: meanOf(color), share: color.count / labs.length })
    cells = cells.filter((cell) => !isNear(cell))
  }
  return colors.sort((one, other) => other.share - one.share).filter(({ share }, i) => i === 0 || share >= minShare)
}

/** The cells that hold a pixel, the fullest first. */
function fillHistogram(labs: Lab[]): Cell[] {
  const cells = new Map<string, Cell>()
  for (const lab of labs) {
    const index = lab.map((value) => Math.round(value / cellSide)).join()
    const pixel: Cell = { count: 1, sums: [...lab] }
    const cell = cells.get(index)
    cells.set(index, cell ? merge(cell, pixel) : pixel)
  }
  return [...cells.values()].sort((one, other) => other.count - one.count)
}

function merge(one: Cell, other: Cell): Cell {
  const [l, a, b] = one.sums
  return { count: one.count + other.count, sums: [l + other.sums[0], a + other.sums[1], b + other.sums[2]] }
}

function meanOf({ count, sums: [l, a, b] }: Cell): Lab {
  return [l / count, a / count, b / count]
}

/** Running mean and deviation (Welford 1962): exactly no deviation when all values are equal. */
function createMoments() {
  let count = 0
  let mean = 0
  let squares = 0
  return {
    add(value: number) {
      const before = value - mean
      mean += before / ++count
      squares += before * (value - mean)
    },
    mean: () => mean,
    deviation: () => Math.sqrt(squares / count),
  }
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, value))
}
