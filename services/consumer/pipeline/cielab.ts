/** A color in CIELAB under D65: L* 0 black to 100 white, a* green to red, b* blue to yellow. */
export type Lab = readonly [lightness: number, a: number, b: number]

/**
 * sRGB (0..255 each) to CIELAB: IEC 61966-2-1 to linear light and XYZ, then CIE 15:2004. The white point is the sum of
 * the matrix's rows, so that greys have a* = b* = 0 but for rounding.
 */
export function labOfRgb(red: number, green: number, blue: number): Lab {
  const [r, g, b] = [linear(red), linear(green), linear(blue)]
  const x = compress((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505)
  const y = compress(0.2126 * r + 0.7152 * g + 0.0722 * b)
  const z = compress((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089)
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)]
}

/** CIE 1976 color difference; about 2 can just be seen. */
export function labDistance(one: Lab, other: Lab): number {
  return Math.hypot(one[0] - other[0], one[1] - other[1], one[2] - other[2])
}

function linear(value: number): number {
  const v = value / 255
  return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
}

function compress(t: number): number {
  return t > (6 / 29) ** 3 ? Math.cbrt(t) : (t * (29 / 6) ** 2) / 3 + 4 / 29
}
