import { h } from './dom.ts'
import { refresh } from './dom-refresh.ts'
import { describeCode } from './fault.ts'
import type { Operations } from './operator-api.ts'
import { createStagePlot } from './stage-plot.ts'
import { allStages, millisecondsOf, percentile, workStages } from './stage-timings.ts'
import { createTable } from './table.ts'
import { dateTime, duration, number, words } from './words.ts'

const { operations: text } = words
/** The API counts no further. */
const maxCounted = 10_000
/** Of a hash that names a revision. */
const revisionLength = 12

/** Everything that the API tells of how the work goes; `show` has it tell the newest. */
export function createFigures() {
  const parts = [createWork(), createConsumers(), createFailures(), createTimings()]
  return {
    element: h('div', {}, ...parts.map(({ element }) => element)),

    show(operations: Operations): void {
      for (const part of parts) part.show(operations)
    },
  }
}

function createWork() {
  const list = h('dl', { class: 'figures' })
  return {
    element: section(text.work.title, list),
    show({ queue, dead_letters: letters, jobs }: Operations): void {
      const { oldest_seconds: oldest, queued, processing } = jobs
      const figures: [string, string | undefined][] = [
        [text.work.queue, queue && number(queue.visible)],
        [text.work.inFlight, queue && number(queue.in_flight)],
        [text.work.queued, counted(queued)],
        [text.work.processing, counted(processing)],
        [text.work.oldest, queued + processing === 0 ? text.none : oldest === undefined ? undefined : duration(oldest)],
        [text.work.deadLetters, letters && number(letters.visible + letters.in_flight)],
      ]
      refresh(
        list,
        figures.map(([name, value = text.notKnown]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
      )
    },
  }
}

function createConsumers() {
  const { title, columns, empty, ...said } = text.consumers
  const table = createTable({ label: title, columns, empty })
  return {
    element: section(title, table.element),
    show({ at, consumers }: Operations): void {
      const secondsSince = (time: string) => Math.max(0, (Date.parse(at) - Date.parse(time)) / 1000)
      table.show(
        consumers.map((each) => [
          lines(each.id, `${each.version}, ${said.since(dateTime(each.started_at))}`),
          h(
            'span',
            {},
            h(
              'span',
              { class: each.alive ? 'alive' : 'silent' },
              each.alive ? said[each.state] : said.silent(duration(secondsSince(each.seen_at))),
            ),
            ...each.outages.map((code) => h('small', { class: 'prose' }, said.away(code))),
          ),
          lines(
            `${each.music_model.name} ${each.music_model.revision.slice(0, revisionLength)}`,
            `${each.classifier_model.name} ${each.classifier_model.revision.slice(0, revisionLength)}`,
          ),
          each.execution_providers.join(', ') || text.notKnown,
          each.real_time_factor === undefined ? text.notKnown : said.realTime(number(each.real_time_factor)),
          said.inWork(number(each.in_work), number(each.slots)),
          number(each.clips),
          each.received_age_seconds === undefined ? text.notKnown : duration(each.received_age_seconds),
        ]),
      )
    },
  }
}

function createFailures() {
  const { title, columns, empty } = text.failures
  const table = createTable({ label: title, columns, empty })
  return {
    element: section(title, table.element),
    show({ failures: { by_code: byCode } }: Operations): void {
      const most = Math.max(0, ...byCode.map(({ jobs }) => jobs))
      table.show(
        byCode.map(({ code, jobs }) => [
          h('span', { class: 'prose' }, describeCode(code)),
          h('code', {}, code),
          h(
            'span',
            { class: 'measured' },
            h('span', {}, counted(jobs)),
            h('span', { class: 'bar', 'aria-hidden': 'true', style: { width: `${(jobs / most) * 8}rem` } }),
          ),
        ]),
      )
    },
  }
}

function createTimings() {
  const { title, columns, empty, work, wait, stages } = text.timings
  const heading = h('h2', {})
  const table = createTable({ label: title(''), columns, empty })
  table.element.id = 'stage-timings'
  const describedBy = table.element.id
  const plots = [
    createStagePlot({ label: work, stages: workStages, describedBy }),
    createStagePlot({ label: wait, stages: ['queue'], describedBy }),
  ]
  const figures = h('div', { class: 'plots' }, ...plots.map(({ element }) => element))
  return {
    element: h('section', { class: 'part' }, heading, figures, table.element),
    show({ recent }: Operations): void {
      heading.textContent = title(number(recent.length))
      figures.hidden = recent.length === 0
      for (const plot of plots) plot.show(recent)
      table.show(
        allStages.flatMap((stage) => {
          const values = recent.map((timings) => millisecondsOf(timings, stage))
          const shown = [0.5, 0.95, 1].flatMap((share) => percentile(values, share) ?? [])
          return values.length ? [[stages[stage], ...shown.map((each) => duration(each / 1000))]] : []
        }),
      )
    },
  }
}

function section(title: string, content: HTMLElement): HTMLElement {
  return h('section', { class: 'part' }, h('h2', {}, title), content)
}

function counted(count: number): string {
  return count < maxCounted ? number(count) : text.atLeast(number(count))
}

function lines(first: string, second: string): HTMLElement {
  return h('span', { class: 'prose' }, first, h('br'), h('small', { class: 'quiet' }, second))
}
