import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createUniform } from '../../../../services/consumer/musicgen/random.ts'
import { type Lab, labOfRgb } from '../../../../services/consumer/pipeline/cielab.ts'
import type { PictureTraits } from '../../../../services/consumer/pipeline/picture-traits.ts'
import shipped from '../../../../services/consumer/pipeline/prompt.json' with { type: 'json' }
import { composePrompt } from '../../../../services/consumer/pipeline/prompt.ts'
import { readPromptWords } from '../../../../services/consumer/pipeline/prompt-words.ts'

const words = readPromptWords(shipped)
const genres = Object.keys(words.genres)
const styles = Object.keys(words.styles)

const black: Lab = [0, 0, 0]
const navy = labOfRgb(20, 30, 80)
const crimson = labOfRgb(180, 20, 40)

const calm: PictureTraits = {
  brightness: 0,
  contrast: 0,
  warmth: -1,
  colorfulness: 0,
  dominantColors: [{ lab: black, share: 1 }],
}
const wild: PictureTraits = {
  brightness: 1,
  contrast: 1,
  warmth: 1,
  colorfulness: 1,
  dominantColors: [
    { lab: crimson, share: 0.5 },
    { lab: navy, share: 0.3 },
    { lab: labOfRgb(240, 220, 80), share: 0.2 },
  ],
}

const visual = new RegExp(
  `\\b(${[
    'paint\\w*|pictur\\w*|imag\\w*|canvas|portrait\\w*|landscape|cityscape|sketch\\w*|drawing|drawn|illustrat\\w*|still life|nude',
    'art|artist\\w*|artwork|brush\\w*|colou?r\\w*|hue|palette|pigment|light|lights|shadow\\w*|view|scene\\w*|visual\\w*|cubis\\w*|frame',
    words.colors.map(({ name }) => name).join('|'),
    'red|golden|gold|purple|figure\\w*|object\\w*|woodblock|print\\w*|museum|gallery|undefined|null|nan|infinity',
  ].join('|')})\\b`,
  'i',
)

function ranked(...names: string[]) {
  return names.map((name, index) => ({ name, score: 0.3 * 0.9 ** index }))
}

function assertPrompt(prompt: string) {
  assert.match(prompt, /^[A-Z0-9][\x20-\x7e]+ tempo, \d{2,3} BPM\.$/)
  assert.ok(prompt.split(' ').length <= words.max_words, prompt)
  assert.doesNotMatch(prompt.replace('frame drum', ''), visual)
}

test('every style with every genre and extreme traits: a bounded sentence about music', () => {
  const uniform = createUniform(1)
  const others = () => Array.from({ length: 4 }, () => styles[Math.floor(uniform() * styles.length)]!)
  for (const style of styles) {
    for (const genre of genres) {
      for (const traits of [calm, wild, randomTraits(uniform)]) {
        const input = { genre, styles: ranked(style, ...others()), traits }
        const prompt = composePrompt(input, words)
        assertPrompt(prompt)
        assert.equal(composePrompt(structuredClone(input), words), prompt)
      }
    }
  }
})

test('no words of the data are about what can be seen', () => {
  const phrases = [words.styles, words.genres, words.traits, words.tempo.words, words.colors.map(({ mood }) => mood)]
  const text = JSON.stringify(phrases.flatMap((part) => Object.values(part))).replace('frame drum', '')
  assert.doesNotMatch(text, visual)
})

test('each style and each genre sounds different', () => {
  const byStyle = styles.map((style) =>
    composePrompt({ genre: 'portrait', styles: ranked(style), traits: calm }, words),
  )
  assert.equal(new Set(byStyle).size, 27)
  const byGenre = genres.map((genre) => composePrompt({ genre, styles: ranked('Baroque'), traits: calm }, words))
  assert.equal(new Set(byGenre).size, 10)
})

test('a prompt word for word', () => {
  const input = { genre: 'portrait', styles: ranked('Baroque', 'Rococo'), traits: wild }
  assert.equal(
    composePrompt(input, words),
    'High baroque concerto grosso, as an intimate character piece, with harpsichord, string ensemble, oboe, ' +
      'transverse flute and solo lead, hints of galant minuet, contrapuntal interplay, ' +
      'majestic, charming, intimate, passionate and nocturnal mood, bright major key, high register, ' +
      'dramatic dynamic contrasts, rich warm timbre, lavish orchestration, lively tempo, 120 BPM.',
  )
})

test('a further style joins only when its score is near enough to the first', () => {
  const withSecond = (score: number) =>
    composePrompt(
      {
        genre: 'landscape',
        styles: [
          { name: 'Ukiyo-e', score: 0.5 },
          { name: 'Minimalism', score },
        ],
        traits: calm,
      },
      words,
    )
  assert.doesNotMatch(withSecond(0.29), /marimba|minimalist/)
  assert.match(withSecond(0.31), /shamisen, koto, shakuhachi, marimba and distant horn, hints of .*minimalist/)
  assert.match(withSecond(0.49), /shamisen, koto, marimba, vibraphone and distant horn/)
})

test('the fourth and fifth styles are never heard', () => {
  const three = composePrompt(
    { genre: 'portrait', styles: ranked('Realism', 'Rococo', 'Pop Art'), traits: calm },
    words,
  )
  const five = ranked('Realism', 'Rococo', 'Pop Art', 'Ukiyo-e', 'Baroque')
  assert.equal(composePrompt({ genre: 'portrait', styles: five, traits: calm }, words), three)
})

test('an instrument that two styles share is named once', () => {
  const prompt = composePrompt({ genre: 'portrait', styles: ranked('Symbolism', 'Art Nouveau'), traits: calm }, words)
  assert.equal(prompt.match(/\bharp\b/g)?.length, 1)
})

test('the traits set key, dynamics, timbre, arrangement, mood and tempo', () => {
  const at = (traits: Partial<PictureTraits>) =>
    composePrompt({ genre: 'still life', styles: ranked('Minimalism'), traits: { ...calm, ...traits } }, words)
  const bpmOf = (prompt: string) => Number(/(\d+) BPM/.exec(prompt)![1])
  assert.match(at({}), /brooding mood, dark minor key, low register, even hushed dynamics, cool glassy timbre, sparse/)
  assert.match(at({ brightness: 0.9 }), /bright major key/)
  assert.match(at({ contrast: 0.9 }), /dramatic dynamic contrasts/)
  assert.match(at({ warmth: 0.4 }), /warm mellow timbre/)
  assert.match(at({ colorfulness: 0.7 }), /lavish orchestration/)
  assert.match(at({ dominantColors: wild.dominantColors }), /hushed, passionate and nocturnal mood/)
  assert.equal(bpmOf(at({})), 88)
  assert.equal(bpmOf(at({ brightness: 1, contrast: 1, colorfulness: 1 })), 118)
  assert.ok(bpmOf(at({ contrast: 0.5 })) > bpmOf(at({ contrast: 0.2 })))
})

test('a short limit leaves out whole parts, the era, the music and the tempo last', () => {
  const input = { genre: 'portrait', styles: ranked('Baroque', 'Rococo'), traits: wild }
  assert.equal(
    composePrompt(input, { ...words, max_words: 24 }),
    'High baroque concerto grosso, with harpsichord, string ensemble, oboe, transverse flute and solo lead, ' +
      'lively tempo, 120 BPM.',
  )
  assert.equal(composePrompt(input, { ...words, max_words: 1 }), 'High baroque concerto grosso, lively tempo, 120 BPM.')
})

test('scores of zero give a prompt too', () => {
  const none = styles.slice(0, 5).map((name) => ({ name, score: 0 }))
  assertPrompt(composePrompt({ genre: 'portrait', styles: none, traits: calm }, words))
})

test('the words of a replaced file are the ones used', () => {
  const own = structuredClone(words)
  own.styles.Baroque!.music = 'surf rock'
  own.styles.Baroque!.bpm = [150, 150]
  own.genres.portrait = { form: 'a jingle', instruments: ['kazoo'], moods: ['silly'], pace: 1 }
  own.colors = [{ name: 'any', rgb: '#000000', mood: 'salty' }]
  const prompt = composePrompt({ genre: 'portrait', styles: ranked('Baroque'), traits: wild }, own)
  assert.match(prompt, /surf rock, as a jingle, with .* and kazoo, .* silly and salty mood, .*150 BPM/)
})

test('a label without words is named', () => {
  assert.throws(
    () => composePrompt({ genre: 'portrait', styles: ranked('Vaporwave'), traits: calm }, words),
    /RangeError: the prompt words have no style called Vaporwave/,
  )
  assert.throws(
    () => composePrompt({ genre: 'toString', styles: ranked('Baroque'), traits: calm }, words),
    /no genre called toString/,
  )
  assert.throws(() => composePrompt({ genre: 'portrait', styles: [], traits: calm }, words), /at least one style/)
})

function randomTraits(uniform: () => number): PictureTraits {
  return {
    brightness: uniform(),
    contrast: uniform(),
    warmth: 2 * uniform() - 1,
    colorfulness: uniform(),
    dominantColors: Array.from({ length: 3 }, () => ({
      lab: labOfRgb(255 * uniform(), 255 * uniform(), 255 * uniform()),
      share: 0.2,
    })),
  }
}
