import { existsSync, fstatSync, ftruncateSync, statfsSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** The disk does not take what is to be written: it is full, or a limit or a right is in the way. */
export class DiskError extends Error {
  override name = 'DiskError'
}

/** Appends all of `bytes`, or throws DiskError and leaves the file as it was. */
export function writeWhole(descriptor: number, path: string, bytes: Uint8Array): void {
  const before = fstatSync(descriptor).size
  try {
    for (let done = 0; done < bytes.byteLength; ) {
      done += writeSync(descriptor, bytes, done, Math.min(bytes.byteLength - done, 2 ** 30))
    }
  } catch (cause) {
    ftruncateSync(descriptor, before)
    throw new DiskError(`${path}: cannot be written after ${before} bytes: ${(cause as Error).message}`, { cause })
  }
}

/** Throws DiskError unless the disk of `folder`, which may not exist yet, has room for so many bytes. */
export function requireSpace(folder: string, bytes: number): void {
  let existing = folder
  while (!existsSync(existing)) existing = dirname(existing)
  const { bavail, bsize } = statfsSync(existing)
  const free = bavail * bsize
  if (free < bytes) {
    throw new DiskError(`${folder}: needs ${formatBytes(bytes)}, but the disk has ${formatBytes(free)} free`)
  }
}

/** As `8.04 GB`. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB']
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return power === 0 ? `${bytes} bytes` : `${(bytes / 1000 ** power).toFixed(2)} ${units[power]}`
}
