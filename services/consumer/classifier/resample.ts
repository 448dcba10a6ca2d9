import type { ImageSpec } from '#shared/model/manifest.ts'

/** 8 bits of red, green and blue side by side. */
export interface Raster {
  width: number
  height: number
  /** [height, width, 3] */
  data: Uint8Array | Uint8ClampedArray
}

/** Where a part of a picture lies: its left and upper edge, and the size of the whole. */
interface Part {
  left: number
  top: number
  width: number
  height: number
}

/** The source pixels that make one output pixel, from `first` on. */
interface Taps {
  first: number
  /** Whole numbers; as floats, because sums of those are exact here and twice as fast. */
  weights: Float64Array
}

export interface Window {
  offset: number
  length: number
}

type Kernel = ImageSpec['resample']

/** Weights are fixed-point with this many fractional bits, so that a sum over pixels fits 32 bits. */
const fractionBits = 22
/** Sums begin here, so that cutting off the fraction rounds. */
const half = 1 << (fractionBits - 1)

/**
 * Resizes a picture to `width` x `height` and returns the part of the result inside `columns` x `rows`, without working
 * out the rest. `source` is the picture, or the part of it at `from`, as long as it has all that `sourceWindow` says.
 * Bit for bit the `Image.resize` of Pillow 13 (src/libImaging/Resample.c), by which image models are
 * trained: antialiasing kernels, 8 bits between the two passes, and the pass down the columns first where the height
 * shrinks by more than twice what the width does.
 */
export function resample(
  source: Raster,
  target: { width: number; height: number; columns: Window; rows: Window; kernel: Kernel; from?: Part },
): Raster {
  const { width, height, left, top } = target.from ?? { width: source.width, height: source.height, left: 0, top: 0 }
  const across = shift(taps(width, target.width, target.columns, target.kernel), -left)
  const down = shift(taps(height, target.height, target.rows, target.kernel), -top)
  const shrunk = height - target.height
  if (shrunk > 0 && shrunk > 2 * (width - target.width)) return resizeRows(resizeColumns(source, down), across)
  const { offset, length } = sourceWindow(height, target.height, target.rows, target.kernel)
  return resizeColumns(resizeRows(crop(source, offset - top, length), across), shift(down, top - offset))
}

/** The columns, or rows, of a picture of `from` in all that resizing it to `to` needs for those in `window`. */
export function sourceWindow(from: number, to: number, window: Window, kernel: Kernel): Window {
  const { first } = span(from, to, window.offset, kernel)
  return { offset: first, length: span(from, to, window.offset + window.length - 1, kernel).last - first }
}

function shift(taps: Taps[], by: number): Taps[] {
  return taps.map(({ first, weights }) => ({ first: first + by, weights }))
}

/** Some of the rows, not copied. */
function crop({ width, data }: Raster, offset: number, height: number): Raster {
  return { width, height, data: data.subarray(offset * width * 3, (offset + height) * width * 3) }
}

/** Changes the width of every row. */
function resizeRows({ height, data, width: sourceWidth }: Raster, across: Taps[]): Raster {
  const width = across.length
  const result = new Uint8ClampedArray(height * width * 3)
  for (let row = 0, out = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const { first, weights } = across[column]!
      let red = half
      let green = half
      let blue = half
      for (let i = 0, at = (row * sourceWidth + first) * 3; i < weights.length; i++, at += 3) {
        const weight = weights[i]!
        red += data[at]! * weight
        green += data[at + 1]! * weight
        blue += data[at + 2]! * weight
      }
      result[out++] = red >> fractionBits
      result[out++] = green >> fractionBits
      result[out++] = blue >> fractionBits
    }
  }
  return { width, height, data: result }
}

/** Changes the height of every column. */
function resizeColumns({ width, data }: Raster, down: Taps[]): Raster {
  const stride = width * 3
  const result = new Uint8ClampedArray(down.length * stride)
  for (let row = 0, out = 0; row < down.length; row++) {
    const { first, weights } = down[row]!
    for (let column = 0; column < stride; column++) {
      let sum = half
      for (let i = 0, at = first * stride + column; i < weights.length; i++, at += stride) {
        sum += data[at]! * weights[i]!
      }
      result[out++] = sum >> fractionBits
    }
  }
  return { width, height: down.length, data: result }
}

/** For every output pixel inside `window`. */
function taps(from: number, to: number, window: Window, kernel: Kernel): Taps[] {
  return Array.from({ length: window.length }, (_, i) => {
    const { first, last } = span(from, to, window.offset + i, kernel)
    const weights = new Float64Array(last - first)
    if (kernel === 'nearest') return { first, weights: weights.fill(1 << fractionBits) }
    const { weight } = kernels[kernel]
    const scale = from / to
    const center = (window.offset + i + 0.5) * scale
    const step = 1 / Math.max(scale, 1)
    let total = 0
    for (let j = 0; j < weights.length; j++) {
      weights[j] = weight((first + j - center + 0.5) * step)
      total += weights[j]!
    }
    for (let j = 0; j < weights.length; j++) {
      const fixed = (weights[j]! / total) * (1 << fractionBits)
      weights[j] = Math.trunc(fixed + (fixed < 0 ? -0.5 : 0.5))
    }
    return { first, weights }
  })
}

/** The source pixels from `first` up to `last` make the output pixel `index`. */
function span(from: number, to: number, index: number, kernel: Kernel): { first: number; last: number } {
  const scale = from / to
  const center = (index + 0.5) * scale
  if (kernel === 'nearest') {
    const first = Math.min(Math.floor(center), from - 1)
    return { first, last: first + 1 }
  }
  const reach = kernels[kernel].reach * Math.max(scale, 1)
  return {
    first: Math.max(Math.trunc(center - reach + 0.5), 0),
    last: Math.min(Math.trunc(center + reach + 0.5), from),
  }
}

/** `reach`: where the kernel ends, in output pixels from the centre. */
const kernels: Record<Exclude<Kernel, 'nearest'>, { reach: number; weight(x: number): number }> = {
  bilinear: { reach: 1, weight: (x) => Math.max(1 - Math.abs(x), 0) },
  bicubic: { reach: 2, weight: (x) => cubic(Math.abs(x)) },
  lanczos3: { reach: 3, weight: (x) => (-3 <= x && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
}

/** Keys' cubic convolution with a = -1/2. */
function cubic(x: number): number {
  const a = -0.5
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a
  return 0
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI)
}
