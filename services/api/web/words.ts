import { en } from './words/en.ts'
import { ko } from './words/ko.ts'

const all = { en, ko }

function isKnown(name: string): name is keyof typeof all {
  return name in all
}

/** The first of the browser's languages in which there are words. */
export const language = navigator.languages.map((each) => each.split('-')[0]!).find(isKnown) ?? 'en'

export const words = all[language]

/** For numbers and times: the reader's region, when they speak the language there. */
export const locale = navigator.languages.find((each) => each.split('-')[0] === language) ?? language

const percentFormat = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 0 })
const numberFormat = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 })
const shareFormat = new Intl.NumberFormat(locale, { style: 'percent', maximumFractionDigits: 1 })
const timeFormat = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' })

/** 0 to 1. */
export const percent = (share: number) => percentFormat.format(share)
/** The same, to a tenth of a percent. */
export const share = (value: number) => shareFormat.format(value)
export const number = (value: number) => numberFormat.format(value)
export const dateTime = (iso: string) => timeFormat.format(new Date(iso))

/** A length of time, in the unit that suits it. */
export function duration(seconds: number): string {
  const [value, unit] =
    seconds < 1
      ? [Math.round(seconds * 1000), 'millisecond']
      : seconds < 100
        ? [Math.round(seconds * 10) / 10, 'second']
        : seconds < 100 * 60
          ? [Math.round(seconds / 60), 'minute']
          : seconds < 48 * 3600
            ? [Math.round(seconds / 3600), 'hour']
            : [Math.round(seconds / 86_400), 'day']
  return new Intl.NumberFormat(locale, { style: 'unit', unit: unit as string, unitDisplay: 'short' }).format(
    value as number,
  )
}

/** The size of a file. */
export function fileSize(bytes: number): string {
  const [value, unit] = bytes < 1e6 ? [Math.ceil(bytes / 1e3), 'kilobyte'] : [bytes / 1e6, 'megabyte']
  return new Intl.NumberFormat(locale, { style: 'unit', unit, maximumFractionDigits: 1 }).format(value)
}

/** A time within music, such as 0:07. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds)
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`
}
