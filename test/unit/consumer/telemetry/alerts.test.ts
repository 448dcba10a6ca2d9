import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { Histogram } from 'prom-client'
import { parse } from 'yaml'
import { settings } from '#shared/contract/setting.ts'
import { createMetrics } from '../../../../services/consumer/telemetry/metrics.ts'

interface Rule {
  alert: string
  expr: string
  for?: string
  labels: { severity: string }
  annotations: { summary: string; description: string; runbook_url: string }
}

interface Panel {
  title: string
  type: string
  gridPos: { x: number; y: number; w: number; h: number }
  targets?: { expr: string }[]
}

const read = (path: string) => readFileSync(new URL(`../../../../${path}`, import.meta.url), 'utf8')
const rules: Rule[] = parse(read('services/consumer/telemetry/alerts.yaml')).groups.flatMap(
  ({ rules: each }: { rules: Rule[] }) => each,
)
const panels: Panel[] = JSON.parse(read('services/consumer/telemetry/dashboard.json')).panels
const queries = panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ name: title, expr })))
const readme = read('README.md')

/** What Prometheus itself knows, of every target. */
const scrape = { up: ['job', 'instance'] }
const labelsOfScrapes = ['job', 'instance']

test('every metric that alerts, dashboard and README name exists, with the labels that they ask for', () => {
  const known = knownSeries()
  const expressions = [...rules.map(({ alert, expr }) => ({ name: alert, expr })), ...queries]
  assert.ok(expressions.length > 30)
  for (const { name, expr } of expressions) {
    const series = Array.from(expr.matchAll(/\b(up|(?:promenade|nodejs|process)_\w+)(?:\{([^}]*)\})?/g))
    assert.ok(series.length > 0, `${name} asks for a metric`)
    const labels = series.flatMap(([, metric, selector = '']) => {
      assert.ok(known.has(metric!), `${name}: there is no metric ${metric}`)
      const asked = Array.from(selector.matchAll(/(\w+)(?:=~|!~|!=|=)"/g), ([, label]) => label!)
      for (const label of asked)
        assert.ok(known.get(metric!)!.includes(label), `${name}: ${metric} has no label ${label}`)
      return known.get(metric!)!
    })
    for (const [, list] of expr.matchAll(/\b(?:by|on) \(([^)]*)\)/g)) {
      for (const label of list!.split(/, */))
        assert.ok(labels.includes(label), `${name}: nothing has the label ${label}`)
    }
  }
  for (const [metric] of readme.matchAll(/\b(?:promenade|nodejs|process)_\w+(?=`)/g)) {
    assert.ok(known.has(metric), `README.md: there is no metric ${metric}`)
  }
})

test('every metric of ours is on the dashboard', () => {
  const shown = queries.map(({ expr }) => expr).join(' ')
  const ours = Array.from(knownSeries().keys()).filter((name) => /^promenade_\w+(?<!_bucket|_sum|_count)$/.test(name))
  assert.ok(ours.length > 10)
  assert.deepEqual(
    ours.filter((name) => !shown.includes(name)),
    [],
  )
})

test('every alert says what it means and has its chapter in the README, and no chapter is without one', () => {
  const chapters = readme.split(/^#### /m).slice(1)
  assert.deepEqual(
    chapters.map((chapter) => chapter.split('\n')[0]).toSorted(),
    rules.map(({ alert }) => alert).toSorted(),
  )
  for (const { alert, labels, annotations } of rules) {
    const { summary, description, runbook_url: runbook } = annotations
    assert.ok(summary && description, alert)
    assert.match(labels.severity, /^(critical|warning)$/)
    assert.equal(runbook, `README.md#${alert.toLowerCase()}`)
    const chapter = chapters.find((each) => each.startsWith(`${alert}\n`))!.split(/^##/m)[0]!
    assert.match(chapter, /\*\*Description\.\*\*.+\*\*Investigation\.\*\*.+\*\*Resolution\.\*\*/s, alert)
    for (const [, name] of chapter.matchAll(/`([A-Z]+_[A-Z_]+)`/g)) {
      assert.ok(name! in settings || /^(GENERATION_FAILED|_UNAVAILABLE)$/.test(name!), `${alert}: what is ${name}?`)
    }
  }
})

test('no panel of the dashboard lies on another', () => {
  const taken = new Set<string>()
  for (const { title, gridPos } of panels) {
    assert.ok(gridPos.x + gridPos.w <= 24, title)
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.ok(!taken.has(`${x},${y}`), title)
        taken.add(`${x},${y}`)
      }
    }
  }
})

/** The labels of every name that a query may use. */
function knownSeries(): Map<string, string[]> {
  const known = new Map<string, string[]>(Object.entries(scrape))
  for (const metric of createMetrics().registry.getMetricsAsArray()) {
    const { name, labelNames } = metric as unknown as { name: string; labelNames: string[] }
    const labels = [...labelNames, ...labelsOfScrapes]
    known.set(name, labels)
    if (!(metric instanceof Histogram)) continue
    known.set(`${name}_bucket`, [...labels, 'le'])
    for (const part of ['sum', 'count']) known.set(`${name}_${part}`, labels)
  }
  return known
}
