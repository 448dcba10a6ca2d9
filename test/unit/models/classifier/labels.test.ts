import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { embedLabels } from '../../../../services/models/classifier/label-embeddings.ts'
import { labelsFor, readLabels, sentences } from '../../../../services/models/classifier/labels.ts'

const dir = mkdtempSync(join(tmpdir(), 'labels-'))
after(() => rmSync(dir, { recursive: true }))

describe('labels', () => {
  const labels = readLabels()

  it("are WikiArt's 10 genres and 27 styles, each once", () => {
    const [genres, styles] = [labels.genres, labels.styles].map((set) => set.labels.map(({ name }) => name))
    assert.deepEqual([genres!.length, styles!.length], [10, 27])
    assert.equal(new Set([...genres!, ...styles!]).size, 37)
  })

  it('are described by several sentences, each with the text in its place', () => {
    for (const set of [labels.genres, labels.styles]) {
      assert.ok(set.phrasings.length > 1)
      for (const label of set.labels) {
        for (const sentence of sentences(set, label)) {
          assert.ok(sentence.includes(label.text))
          assert.doesNotMatch(sentence, /[{}]/)
        }
      }
    }
  })

  it('are refused with the faulty field named', () => {
    const set = { phrasings: ['{}'], labels: [...'abcde'].map((name) => ({ name, text: `an ${name}` })) }
    const read = (value: object) => {
      const path = join(dir, 'labels.json')
      writeFileSync(path, JSON.stringify(value))
      return readLabels(path)
    }
    assert.equal(read({ temperature: 0.01, genres: set, styles: set }).temperature, 0.01)
    writeFileSync(join(dir, 'labels.json'), 'genres')
    assert.throws(() => readLabels(join(dir, 'labels.json')), /labels\.json: cannot be read: .*JSON/)
    const dull = { ...set, phrasings: ['a painting'] }
    assert.throws(() => read({ temperature: null, genres: dull, styles: set }), /\/genres\/phrasings\/0 must match/)
    const twice = { ...set, labels: [...set.labels, { name: 'a', text: 'another a' }] }
    assert.throws(
      () => read({ temperature: null, genres: set, styles: twice }),
      /\/styles\/labels has the name a twice/,
    )
    const few = { ...set, labels: set.labels.slice(1) }
    assert.throws(
      () => read({ temperature: null, genres: few, styles: few }),
      /\/styles\/labels has 4, expected at least 5/,
    )
    assert.throws(() => read({ temperature: 0, genres: set, styles: set }), /\/temperature/)
  })

  it('may lie beside the checkpoint', () => {
    rmSync(join(dir, 'labels.json'), { force: true })
    assert.deepEqual(labelsFor(dir), labels)
    writeFileSync(join(dir, 'labels.json'), JSON.stringify({ ...labels, temperature: 0.03 }))
    assert.equal(labelsFor(dir).temperature, 0.03)
  })

  it('are embedded as the mean over their sentences, of length 1', async () => {
    const set = { phrasings: ['x {}', 'y {}'], labels: [{ name: 'a', text: 'a' }] }
    const rows: Record<string, Float32Array> = { 'x a': Float32Array.of(1, 0, 0), 'y a': Float32Array.of(0, 1, 0) }
    const embeddings = await embedLabels(set, async (text) => rows[text]!)
    assert.deepEqual(embeddings, [Float32Array.of(Math.SQRT1_2, Math.SQRT1_2, 0)])
  })
})
