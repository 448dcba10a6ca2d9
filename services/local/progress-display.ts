import { MultiBar, Presets } from 'cli-progress'
import type { Result } from '#shared/contract/result.ts'
import { printable } from '#shared/printable.ts'

/** A line of plain output at every stage, and at every so many percent within one. */
const percentStep = 25

/** Shows where each picture stands: bars on a terminal, lines elsewhere. */
export function createProgressDisplay(stream: NodeJS.WriteStream) {
  return stream.isTTY ? createBars(stream) : createLines(stream)
}

function createBars(stream: NodeJS.WriteStream) {
  const format = '{name} [{bar}] {percentage}% {stage}'
  const bars = new MultiBar({ stream, format, hideCursor: true, clearOnComplete: false }, Presets.shades_classic)
  return {
    add(name: string) {
      const bar = bars.create(100, 0, { name: printable(name), stage: 'uploading' })
      return (result: Result) => bar.update(percentOf(result), { stage: stageOf(result) })
    },
    close: () => bars.stop(),
  }
}

function createLines(stream: NodeJS.WriteStream) {
  return {
    add(name: string) {
      let last = ''
      return (result: Result) => {
        const step = Math.floor(percentOf(result) / percentStep) * percentStep
        const line = `${printable(name)}: ${stageOf(result)}${result.status === 'processing' ? ` ${step}%` : ''}\n`
        if (line !== last) stream.write(line)
        last = line
      }
    },
    close: () => {},
  }
}

function percentOf({ status, progress = 0 }: Result): number {
  return status === 'succeeded' ? 100 : Math.round(progress * 100)
}

function stageOf({ status, stage, error }: Result): string {
  if (error) return `${status}, ${error.code}`
  return status === 'processing' && stage ? stage : status
}
