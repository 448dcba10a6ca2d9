import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPrecompiledNormalizer } from '#shared/precompiled-normalizer.ts'
import { createTextTokenizer } from '#shared/text-tokenizer.ts'
import { tinyTokenizer } from '../../../services/models/musicgen/tiny-tokenizer.ts'
import golden from '../../golden/precompiled.json' with { type: 'json' }

const precompiled = { type: 'Precompiled', precompiled_charsmap: golden.charsmap }

test('200 strings are normalised by a charsmap as the reference does', () => {
  const normalize = createPrecompiledNormalizer(golden.charsmap)
  assert.equal(golden.strings.length, 200)
  for (const [text, expected] of golden.strings) assert.equal(normalize(text!), expected, JSON.stringify(text))
})

test('a tokenizer with a charsmap uses it, alone or with other normalizers', () => {
  const space = { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' }
  for (const normalizer of [precompiled, { type: 'Sequence', normalizers: [precompiled, space] }]) {
    const { encode } = createTextTokenizer({ ...tinyTokenizer(), normalizer }, 100)
    const plain = createTextTokenizer(tinyTokenizer(), 100)
    // Control characters fall away, and a tab is a space.
    assert.deepEqual(encode('ﬁne\u0008\tslow piano'), plain.encode('fine slow piano'))
  }
})

test('a charsmap that is cut short is refused', () => {
  for (const charsmap of ['', 'AAA=', golden.charsmap.slice(0, 400)]) {
    assert.throws(() => createPrecompiledNormalizer(charsmap), /precompiled_charsmap/)
  }
  assert.throws(() => createTextTokenizer({ ...tinyTokenizer(), normalizer: { type: 'Precompiled' } }, 100), /charsmap/)
})
