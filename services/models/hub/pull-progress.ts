import { Presets, SingleBar } from 'cli-progress'
import { formatBytes } from '../disk.ts'
import type { PullProgress } from './pull-checkpoint.ts'

/** A plain line at every so many percent. */
const percentStep = 10

/** Tells how far each file of a pull is: with a bar on a terminal, in lines elsewhere. */
export function createPullProgress(stream: NodeJS.WriteStream): PullProgress & { close(): void } {
  return stream.isTTY ? createBar(stream) : createLines(stream)
}

function createBar(stream: NodeJS.WriteStream): PullProgress & { close(): void } {
  const format = '{file} [{bar}] {percentage}% of {size}, {eta_formatted} left'
  const bar = new SingleBar({ stream, format, clearOnComplete: false, etaBuffer: 100 }, Presets.shades_classic)
  let current = { file: '', bytes: 0 }
  return {
    start(file, bytes) {
      bar.stop()
      current = { file, bytes }
      bar.start(bytes, 0, { file, size: formatBytes(bytes) })
    },
    advance: (bytes) => bar.update(bytes),
    note(message) {
      bar.stop()
      stream.write(`${message}\n`)
      if (current.file) bar.start(current.bytes, 0, { file: current.file, size: formatBytes(current.bytes) })
    },
    close: () => bar.stop(),
  }
}

function createLines(stream: NodeJS.WriteStream): PullProgress & { close(): void } {
  let current = { file: '', bytes: 0 }
  let told = 0
  return {
    start(file, bytes) {
      current = { file, bytes }
      told = 0
      stream.write(`${file}: ${formatBytes(bytes)}\n`)
    },
    advance(bytes) {
      const percent = current.bytes === 0 ? 100 : Math.floor((100 * bytes) / current.bytes)
      if (percent < told + percentStep) return
      told = percent - (percent % percentStep)
      stream.write(`${current.file}: ${told}%\n`)
    },
    note: (message) => stream.write(`${message}\n`),
    close: () => {},
  }
}
