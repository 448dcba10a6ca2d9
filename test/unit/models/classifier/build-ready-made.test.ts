import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import Value from 'typebox/value'
import { ClassifierManifest } from '#shared/model/manifest.ts'
import { createClassifier } from '../../../../services/consumer/classifier/classifier.ts'
import { openGraph } from '../../../../services/consumer/onnx/graph.ts'
import { buildModel } from '../../../../services/models/build-model.ts'
import { modelFaults } from '../../../../services/models/built-model.ts'
import { buildReadyMade } from '../../../../services/models/classifier/build-ready-made.ts'
import { type Labels, readLabels } from '../../../../services/models/classifier/labels.ts'
import { writeModelFolder } from '../../../../services/models/model-folder.ts'
import { createGraph, type DataType } from '../../../../services/models/onnx-graph.ts'
import { targetDir, targetOf } from '../../../../services/models/target.ts'

const side = 4
const labels = readLabels()
const [genres, styles] = [labels.genres, labels.styles].map((set) => set.labels.map(({ name }) => name)) as [
  string[],
  string[],
]
/** As WikiArt's data sets spell them. */
const spelled = (name: string) => name.replaceAll(' ', '_').replaceAll(/[()]/g, '').replaceAll('-', '_')

let dir: string
let from: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ready-made-'))
  from = join(dir, 'from')
})
afterEach(() => rmSync(dir, { recursive: true }))

/**
 * A classifier in the layout of the hub: the logit of class i is the red of the picture's first pixel times i / 10,
 * and of `likeliest` 5 more.
 */
function writeClassifier(
  folder: string,
  classes: readonly string[],
  options: {
    likeliest?: string
    input?: string
    output?: string
    type?: DataType
    logits?: number
    crop?: number
    /** It gives its pixels too, in this type. */
    besides?: DataType
  } = {},
): void {
  const { likeliest, input = 'pixel_values', output = 'logits', logits = classes.length, crop = side } = options
  const { type = 'float32', besides } = options
  writeModelFolder(join(folder, 'onnx'), (files) => {
    const graph = createGraph(files, 'model.onnx')
    const pixels = graph.input({ name: input, type, dims: ['batch', 3, 'height', 'width'] })
    const flat = graph.op('Reshape', [pixels, graph.int64([0, -1])])
    const first = graph.op('Slice', [flat, graph.int64([0]), graph.int64([1]), graph.int64([1])])
    const slopes = Float32Array.from({ length: logits }, (_, i) => i / 10)
    const biases = Float32Array.from({ length: logits }, (_, i) => (classes[i] === likeliest ? 5 : 0))
    const product = graph.op('MatMul', [first, graph.weight('slopes', [1, logits], slopes)])
    graph.output(
      { name: output, type, dims: ['batch', logits] },
      graph.op('Add', [product, graph.weight('biases', [logits], biases)]),
    )
    if (besides) {
      const dims = ['batch', 3, 'height', 'width']
      graph.output({ name: 'hidden', type: besides, dims }, graph.cast(pixels, besides))
    }
    graph.write()
    return {}
  })
  writeJson(join(folder, 'config.json'), { model_type: 'vit', id2label: { ...classes } })
  writeJson(join(folder, 'preprocessor_config.json'), {
    image_processor_type: 'ViTImageProcessor',
    size: { height: crop, width: crop },
    image_mean: [0.5, 0.5, 0.5],
    image_std: [0.5, 0.5, 0.5],
  })
}

function writeJson(path: string, value: object): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, JSON.stringify(value))
}

const build = (changed?: Partial<Labels>) =>
  buildReadyMade({
    checkpointDir: from,
    outDir: join(dir, 'built'),
    name: 'ready-made',
    source: { repository: 'none', revision: '1', generated: true },
    license: 'MIT',
    precision: 'fp32',
    labels: { ...labels, ...changed },
  })

/** What the consumer makes of a picture of one red value. */
async function classify(red = 1) {
  const manifest = JSON.parse(readFileSync(join(dir, 'built', 'manifest.json'), 'utf8')) as ClassifierManifest
  assert.deepEqual([...Value.Errors(ClassifierManifest, manifest)], [])
  const open = ({ file }: { file: string }) => openGraph(join(dir, 'built', file), { executionProviders: ['cpu'] })
  const graphs = await Promise.all(manifest.classifier.graphs.map(open))
  try {
    const views = manifest.classifier.graphs.map(({ image: { crop } }) => new Float32Array(3 * crop ** 2).fill(red))
    return await createClassifier({ manifest: manifest.classifier, graphs }).classify(views)
  } finally {
    await Promise.all(graphs.map((graph) => graph.release()))
  }
}

/** The probability of a logit 5 above `others` logits of 0. */
const clear = (others: number) => Math.E ** 5 / (Math.E ** 5 + others)

describe('a ready-made classifier', () => {
  it('is built by its name from a folder, and verified, whether it is one graph or two', async () => {
    const target = targetOf('ready-made-classifier')!
    await assert.rejects(buildModel(target, dir), /built from a folder of yours: add --from/)
    writeClassifier(from, [...genres, ...styles].map(spelled))
    await buildModel(target, dir, from)
    assert.deepEqual(await modelFaults(targetDir(dir, target)), [])
    rmSync(from, { recursive: true })
    writeClassifier(join(from, 'genres'), genres.map(spelled))
    writeClassifier(join(from, 'styles'), styles.map(spelled))
    await buildModel(target, dir, from)
    assert.deepEqual(await modelFaults(targetDir(dir, target)), [])
  })

  for (const besides of ['float32', 'float16'] as const) {
    it(`may give ${besides} besides, of which nothing is fetched`, async () => {
      writeClassifier(from, [...genres, ...styles], { likeliest: 'Fauvism', besides })
      await build()
      assert.deepEqual(await modelFaults(join(dir, 'built')), [])
      assert.equal((await classify(0)).styles[0]!.name, 'Fauvism')
    })
  }

  it('may know both sets, in any order, spelling and company', async () => {
    const classes = ['Unknown Artist', ...styles.toReversed(), 'unknown_genre', ...genres].map(spelled)
    writeClassifier(from, classes, { likeliest: 'Naive_Art_Primitivism' })
    await build()
    const { genre, styles: found, embedding } = await classify(0)
    assert.deepEqual(genre, { name: genres[0], score: Math.fround(1 / 10) })
    assert.equal(found[0]!.name, 'Naive Art (Primitivism)')
    assert.ok(Math.abs(found[0]!.score - clear(26)) < 1e-6)
    assert.equal(embedding, null)
  })

  it('may be one for each set, with preprocessing of its own', async () => {
    writeClassifier(join(from, 'genres'), genres, { likeliest: 'still life', crop: 8 })
    writeClassifier(join(from, 'styles'), styles, { likeliest: 'Fauvism' })
    await build()
    const { genre, styles: found } = await classify(0)
    assert.equal(genre.name, 'still life')
    assert.ok(Math.abs(genre.score - clear(9)) < 1e-6)
    assert.equal(found[0]!.name, 'Fauvism')
    // Logits that rise with the class: the last ones are the likeliest.
    const bright = await classify(100)
    assert.equal(bright.genre.name, genres.at(-1))
    assert.deepEqual(
      bright.styles.map(({ name }) => name),
      styles.slice(-5).reverse(),
    )
  })

  it('is softened or sharpened by the temperature of the labels', async () => {
    writeClassifier(from, [...genres, ...styles], { likeliest: 'Fauvism' })
    await build({ temperature: 5 })
    const [first] = (await classify(0)).styles
    assert.ok(Math.abs(first!.score - Math.E / (Math.E + 26)) < 1e-6)
  })

  it('may call a label otherwise, when the labels say so', async () => {
    const classes = [...genres, ...styles].map((name) => (name === 'Ukiyo-e' ? 'Japanese woodblock' : name))
    writeClassifier(from, classes, { likeliest: 'Japanese woodblock' })
    await assert.rejects(build(), /config\.json: id2label should have each of Ukiyo-e once, found .*Japanese woodblock/)
    const renamed = labels.styles.labels.map((label) =>
      label.name === 'Ukiyo-e' ? { ...label, class: 'Japanese woodblock' } : label,
    )
    await build({ styles: { ...labels.styles, labels: renamed } })
    assert.equal((await classify(0)).styles[0]!.name, 'Ukiyo-e')
  })

  it('is refused with what was expected and what was found', async () => {
    const both = [...genres, ...styles]
    await assert.rejects(build(), /from: expected onnx\/model\.onnx or model\.onnx, found neither/)
    const cases: [Parameters<typeof writeClassifier>[2], RegExp][] = [
      [{ input: 'pixels' }, /takes pixels and gives logits, expected pixel_values and logits/],
      [{ output: 'last_hidden_state' }, /gives last_hidden_state, expected pixel_values and logits/],
      [{ logits: 3 }, /logits is float32 \[1,3\], expected float32 \[1,37\] as config\.json's id2label says/],
      [{ type: 'float16' }, /ONNX Runtime cannot run it alone: .*float/],
    ]
    for (const [options, message] of cases) {
      writeClassifier(from, both, options)
      await assert.rejects(build(), message)
    }
    writeClassifier(from, both)
    writeJson(join(from, 'config.json'), { model_type: 'vit' })
    await assert.rejects(build(), /config\.json: .*id2label/)
    writeJson(join(from, 'config.json'), { id2label: { 0: 'a', 2: 'b' } })
    await assert.rejects(build(), /id2label has no 1, expected every number from 0/)
    writeFileSync(join(from, 'onnx', 'model.onnx'), 'not a graph')
    writeJson(join(from, 'config.json'), { id2label: { ...both } })
    await assert.rejects(build(), /model\.onnx: ONNX Runtime cannot run it alone/)
    mkdirSync(join(from, 'genres'))
    await assert.rejects(build(), /from: has the folder genres only, expected genres and styles/)
    assert.equal(existsSync(join(dir, 'built')), false)
  })
})
