import type { Result } from '../client/client.ts'
import { barList } from './bars.ts'
import { h } from './dom.ts'
import { dateTime, duration, number, share, words } from './words.ts'

type Timing = keyof typeof words.result.timing

/** What is seen in the picture, as beside one in a museum. Labels and prompts are English everywhere. */
export function wallLabel({ genre, genre_score: genreScore, styles = [] }: Result): HTMLElement {
  const { result: text } = words
  const bars = styles.map(({ name, score }) => ({ name, lang: 'en', value: score, text: share(score) }))
  return h(
    'section',
    { class: 'label', 'aria-label': text.genre },
    h('p', { class: 'quiet kind' }, text.genre),
    h(
      'h2',
      { class: 'genre' },
      h('span', { lang: 'en' }, genre),
      ' ',
      genreScore !== undefined && h('data', { class: 'quiet', value: genreScore }, share(genreScore)),
    ),
    h('h3', {}, text.styles),
    barList(bars, 1),
  )
}

/** How the music was made. */
export function details({ music, timings, version, finished_at: finishedAt }: Result): HTMLElement {
  const { result: text } = words
  const facts: [name: string, value: string | undefined][] = [
    [text.seed, music && String(music.seed)],
    [text.model, music?.model],
    [text.duration, music && duration(music.duration_seconds)],
    [text.sampleRate, music && `${number(music.sample_rate)} Hz`],
    [text.finishedAt, finishedAt && dateTime(finishedAt)],
    [text.version, version],
  ]
  const bars = Object.entries(timings ?? {}).map(([name, milliseconds]) => ({
    name: text.timing[name as Timing],
    value: milliseconds,
    text: duration(milliseconds / 1000),
  }))
  return h(
    'section',
    { class: 'making', 'aria-labelledby': 'details' },
    h('h2', { id: 'details' }, text.details),
    h(
      'div',
      { class: 'columns' },
      h(
        'dl',
        {},
        ...facts.flatMap(([name, value]) => (value === undefined ? [] : [h('dt', {}, name), h('dd', {}, value)])),
      ),
      bars.length > 0 && h('div', {}, h('h3', {}, text.timings), barList(bars, timings?.total_ms ?? 0)),
    ),
  )
}
