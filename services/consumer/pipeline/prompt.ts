import { type Lab, labDistance, labOfRgb } from './cielab.ts'
import type { PictureTraits } from './picture-traits.ts'
import type { PromptWords } from './prompt-words.ts'

interface PromptInput {
  genre: string
  /** The likeliest first; at least one. */
  styles: readonly { name: string; score: number }[]
  traits: PictureTraits
}

/** A style that is heard, and its weight: the classifier's score. */
interface Voice {
  words: PromptWords['styles'][string]
  weight: number
}

/** A part of the sentence; the higher its rank, the sooner it is left out. Rank 0 stays. */
interface Part {
  rank: number
  text: string
}

const maxVoices = 3
/** Beats per minute; the range of a metronome. */
const slowest = 40
const fastest = 208

/**
 * A MusicGen prompt: one sentence about music and nothing of what the picture shows, of at most `max_words` words.
 * Equal input gives equal prompts.
 *
 * - The first style leads with its era, music and texture. The second and the third join when their score is at
 *   least `min_relative_score` of the first's; the second is then also named, as hints.
 * - Instruments and moods of the styles that joined are dealt out by score, see `deal`.
 * - The genre gives the form, an instrument, a mood, and the pace.
 * - Brightness sets key and register, contrast the dynamics, warmth the timbre, colorfulness the size of the
 *   arrangement; each dominant color gives the mood of the nearest color that has one.
 * - The tempo is described at `tempoOf`.
 * - A sentence that would be too long loses whole parts, the least telling first.
 *
 * Throws when a label has no words; `checkPromptWords` finds such labels beforehand.
 */
export function composePrompt({ genre, styles, traits }: PromptInput, words: PromptWords): string {
  const subject = wordsFor(genre, 'genre', words.genres)
  const voices = chooseVoices(styles, words)
  const [lead, second] = voices
  if (!lead) throw new RangeError('a prompt needs at least one style, found none')

  const { blend } = words
  const played = deal(voices, 'instruments', blend.instruments)
  const added = subject.instruments.find((instrument) => !played.includes(instrument))
  const moods = new Set([
    ...deal(voices, 'moods', blend.style_moods),
    subject.moods[0]!,
    ...traits.dominantColors.slice(0, blend.color_moods).map(({ lab }) => moodOf(lab, words)),
  ])
  const bpm = tempoOf(voices, subject.pace, traits, words)
  const bandOf = (trait: keyof PromptWords['traits']) => wordsAt(words.traits[trait], traits[trait])

  const parts: Part[] = [
    { rank: 0, text: `${lead.words.era} ${lead.words.music}` },
    { rank: 4, text: `as ${subject.form}` },
    { rank: 1, text: `with ${listOf(added ? [...played, added] : played)}` },
    ...(second ? [{ rank: 9, text: `hints of ${second.words.music}` }] : []),
    { rank: 7, text: lead.words.texture },
    { rank: 2, text: `${listOf([...moods])} mood` },
    { rank: 3, text: bandOf('brightness') },
    { rank: 5, text: bandOf('contrast') },
    { rank: 8, text: bandOf('warmth') },
    { rank: 6, text: bandOf('colorfulness') },
    { rank: 0, text: `${wordsAt(words.tempo.words, bpm)} tempo, ${bpm} BPM` },
  ]
  return sentenceOf(parts, words.max_words)
}

/** The first style, and those of the next two whose score is near enough to its own. */
function chooseVoices(styles: PromptInput['styles'], words: PromptWords): Voice[] {
  const nearEnough = words.blend.min_relative_score * (styles[0]?.score ?? 0)
  return styles
    .slice(0, maxVoices)
    .filter(({ score }, index) => index === 0 || score >= nearEnough)
    .map(({ name, score }) => ({ words: wordsFor(name, 'style', words.styles), weight: score }))
}

/**
 * Deals places among the styles by D'Hondt's method: the next place goes to the style with the largest weight / (places
 * it has + 1), which takes its own phrases in order. A phrase that two styles share is taken once. The first style's
 * come first.
 */
function deal(voices: Voice[], kind: 'instruments' | 'moods', places: number): string[] {
  const bids = voices.flatMap(({ words, weight }) =>
    words[kind].map((phrase, taken) => ({ phrase, bid: weight / (taken + 1) })),
  )
  const phrasesOf = (deals: typeof bids) => [...new Set(deals.map(({ phrase }) => phrase))]
  const winners = phrasesOf(bids.toSorted((one, other) => other.bid - one.bid)).slice(0, places)
  return phrasesOf(bids).filter((phrase) => winners.includes(phrase))
}

/**
 * BPM: from the calm to the energetic end of the styles' ranges (their mean by weight) by the picture's energy, the
 * weighted sum of its brightness, contrast and colorfulness; then times the genre's pace.
 */
function tempoOf(voices: Voice[], pace: number, traits: PictureTraits, { tempo: { energy } }: PromptWords): number {
  const lift = Math.min(
    1,
    energy.brightness * traits.brightness +
      energy.contrast * traits.contrast +
      energy.colorfulness * traits.colorfulness,
  )
  const total = voices.reduce((sum, { weight }) => sum + weight, 0)
  const bpm = voices.reduce(
    (
      sum,
      {
        words: {
          bpm: [calm, energetic],
        },
        weight,
      },
    ) => {
      const part = total > 0 ? weight / total : 1 / voices.length
      return sum + part * (calm + lift * (energetic - calm))
    },
    0,
  )
  return Math.round(Math.min(fastest, Math.max(slowest, bpm * pace)))
}

function moodOf(lab: Lab, { colors }: PromptWords): string {
  const distances = colors.map(({ rgb }) => labDistance(lab, labOfHex(rgb)))
  return colors[distances.indexOf(Math.min(...distances))]!.mood
}

function labOfHex(rgb: string): Lab {
  const value = Number.parseInt(rgb.slice(1), 16)
  return labOfRgb(value >> 16, (value >> 8) & 0xff, value & 0xff)
}

/** The words of the highest band that the value reaches; below all bands, of the lowest. */
function wordsAt(bands: PromptWords['tempo']['words'], value: number): string {
  const rising = bands.toSorted((one, other) => one.from - other.from)
  return (rising.findLast(({ from }) => value >= from) ?? rising[0]!).words
}

function wordsFor<Words>(label: string, kind: 'genre' | 'style', entries: Readonly<Record<string, Words>>): Words {
  const words = Object.hasOwn(entries, label) ? entries[label] : undefined
  if (!words) throw new RangeError(`the prompt words have no ${kind} called ${label}`)
  return words
}

function listOf(phrases: string[]): string {
  return phrases.length > 1 ? `${phrases.slice(0, -1).join(', ')} and ${phrases.at(-1)}` : phrases.join()
}

function sentenceOf(parts: Part[], maxWords: number): string {
  const sentence = parts.map(({ text }) => text).join(', ')
  const leastTelling = Math.max(...parts.map(({ rank }) => rank))
  if (sentence.split(' ').length <= maxWords || leastTelling === 0) {
    return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`
  }
  return sentenceOf(
    parts.filter(({ rank }) => rank < leastTelling),
    maxWords,
  )
}
