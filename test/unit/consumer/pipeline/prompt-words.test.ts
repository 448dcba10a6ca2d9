import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Settings } from 'typebox/system'
import { ConfigError } from '#shared/config.ts'
import shipped from '../../../../services/consumer/pipeline/prompt.json' with { type: 'json' }
import { checkPromptWords, readPromptWords } from '../../../../services/consumer/pipeline/prompt-words.ts'
import labels from '../../../../services/models/classifier/labels.json' with { type: 'json' }

const labelNames = {
  genres: labels.genres.labels.map(({ name }) => name),
  styles: labels.styles.labels.map(({ name }) => name),
}

function faultsOf(json: unknown): readonly string[] {
  try {
    readPromptWords(json)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.faults.map((fault) => fault.replace(/^PROMPT_FILE: /, ''))
  }
  return []
}

test('the shipped words cover exactly the labels of the classifier', () => {
  const words = readPromptWords(shipped)
  assert.deepEqual(Object.keys(words.styles).sort(), labelNames.styles.toSorted())
  assert.deepEqual(Object.keys(words.genres).sort(), labelNames.genres.toSorted())
  assert.equal(labelNames.styles.length, 27)
  assert.equal(labelNames.genres.length, 10)
  assert.deepEqual(checkPromptWords(words, labelNames), [])
})

test('labels without words are named', () => {
  const { Baroque, Rococo, ...styles } = shipped.styles
  const { portrait, ...genres } = shipped.genres
  const words = readPromptWords({ ...shipped, styles, genres })
  assert.deepEqual(checkPromptWords(words, { ...labelNames, styles: [...labelNames.styles, 'constructor'] }), [
    'genres: portrait',
    'styles: Baroque',
    'styles: Rococo',
    'styles: constructor',
  ])
})

test('what is no object at all', () => {
  for (const json of [null, undefined, 'words', 7, []]) {
    assert.deepEqual(faultsOf(json), ['the file must be object'])
  }
  assert.deepEqual(faultsOf({}), [
    'the file must have required properties max_words, blend, tempo, traits, colors, genres, styles',
  ])
})

test('every fault is reported at once, with its place', () => {
  const faulty = structuredClone(shipped)
  Object.assign(faulty, { max_words: 3, flavor: 'sweet' })
  Object.assign(faulty.colors[0]!, { rgb: 'black' })
  Object.assign(faulty.traits, { warmth: [] })
  Object.assign(faulty.styles.Baroque, { instruments: [] })
  Object.assign(faulty.styles.Rococo, {
    moods: ['two  spaces', 'one two three four five six seven', '', 'line\nbreak'],
  })
  Object.assign(faulty.styles['Pop Art'], { bpm: [100] })
  Object.assign(faulty.styles.Realism, { bpm: [1, 9000] })
  Object.assign(faulty.styles.Cubism, { tempo: 'fast' })
  Object.assign(faulty.genres, { portrait: { instruments: ['cello'], moods: ['calm'], pace: 1 } })
  const phrase = 'must be one to 6 words with single spaces between them'
  assert.deepEqual(
    faultsOf(faulty).toSorted(),
    [
      '/colors/0/rgb must be a color such as #1a2b3c',
      '/genres/portrait must have required properties form',
      '/max_words must be >= 24',
      '/styles/Baroque/instruments must not have fewer than 1 items',
      '/styles/Cubism must not have additional properties tempo',
      '/styles/Pop Art/bpm must not have fewer than 2 items',
      '/styles/Realism/bpm/0 must be >= 40',
      '/styles/Realism/bpm/1 must be <= 208',
      `/styles/Rococo/moods/0 ${phrase}`,
      `/styles/Rococo/moods/1 ${phrase}`,
      `/styles/Rococo/moods/2 ${phrase}`,
      `/styles/Rococo/moods/3 ${phrase}`,
      '/traits/warmth must not have fewer than 1 items',
      'the file must not have additional properties flavor',
    ].toSorted(),
  )
})

test('TypeBox keeps its own limit on errors afterwards', () => {
  const before = Settings.Get().maxErrors
  faultsOf({})
  assert.equal(Settings.Get().maxErrors, before)
})
