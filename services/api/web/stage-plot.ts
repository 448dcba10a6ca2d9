import { h, svg } from './dom.ts'
import { refresh } from './dom-refresh.ts'
import { type Stage, stack, type Timings } from './stage-timings.ts'
import { duration, words } from './words.ts'

/** Shares of a bar's place, of which the rest is a gap. */
const filled = 0.8

/** Bars of stages one on another, for each result. What they say is in words in the table that `describedBy` names. */
export function createStagePlot({
  label,
  stages,
  describedBy,
}: {
  label: string
  stages: readonly Stage[]
  describedBy: string
}) {
  const plot = svg('svg', {
    viewBox: '0 0 1 1',
    preserveAspectRatio: 'none',
    role: 'img',
    'aria-label': label,
    'aria-describedby': describedBy,
  })
  const axis = h('div', { class: 'axis', 'aria-hidden': 'true' })
  const legend = stages.map((stage) => h('li', { class: `stage-${stage}` }, words.operations.timings.stages[stage]))
  const element = h(
    'figure',
    { class: 'stage-plot' },
    h('figcaption', {}, label),
    stages.length > 1 && h('ul', { class: 'legend', role: 'list' }, ...legend),
    h('div', { class: 'plot' }, axis, plot),
  )
  return {
    element,

    show(newestFirst: Timings[]): void {
      const { bars, ceiling } = stack(newestFirst, stages)
      const lines = [0, 0.5, 1].map((y) => svg('line', { x1: 0, x2: 1, y1: y, y2: y }))
      const shown = bars.map(({ stage, x, y, width, height }) =>
        svg('rect', { class: `stage-${stage}`, x, y, width: width * filled, height }),
      )
      refresh(plot, [...lines, ...shown])
      refresh(
        axis,
        [1, 0.5, 0].map((share) => h('span', {}, duration((share * ceiling) / 1000))),
      )
    },
  }
}
