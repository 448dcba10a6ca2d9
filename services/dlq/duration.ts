const secondsPer = { s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 }

/** Milliseconds of 90s, 30m, 2h, 3d or 1w; undefined for anything else. */
export function readDuration(text: string): number | undefined {
  const [, number, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? []
  return number && unit ? Number(number) * secondsPer[unit as keyof typeof secondsPer] * 1000 : undefined
}

/** In its largest unit. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  const [unit, length] = Object.entries(secondsPer).findLast(([, each]) => seconds >= each) ?? ['s', 1]
  return `${Math.floor(seconds / length)}${unit}`
}
