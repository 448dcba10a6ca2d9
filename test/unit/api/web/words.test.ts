import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import type { ClientErrorCode } from '../../../../services/api/client/promenade-error.ts'
import { en } from '../../../../services/api/web/words/en.ts'
import { ko } from '../../../../services/api/web/words/ko.ts'

for (const [language, words] of Object.entries({ en, ko })) {
  test(`every code has words of its own in ${language}`, () => {
    const told: Record<ErrorCode | ClientErrorCode, string> = words.errors
    for (const code of Object.keys(errorCodes) as ErrorCode[]) assert.ok(told[code], code)
    assert.equal(new Set(Object.values(told)).size, Object.keys(told).length)
  })
}

test('nothing that has letters is left in English in Korean', () => {
  assert.deepEqual(untranslated(en, ko), [])
})

/** Paths of the texts that are the same. */
function untranslated(one: object, other: object, path = ''): string[] {
  return Object.entries(one).flatMap(([name, value]) => {
    const translated = (other as Record<string, unknown>)[name]
    const here = path ? `${path}.${name}` : name
    if (typeof value === 'object') return untranslated(value, translated as object, here)
    return value === translated && /\p{L}/u.test(value) ? [here] : []
  })
}
