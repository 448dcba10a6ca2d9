import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { removeLeftovers, writeModelFolder } from '../../../services/models/model-folder.ts'
import { createGraph } from '../../../services/models/onnx-graph.ts'

const dir = mkdtempSync(join(tmpdir(), 'onnx-graph-'))
after(() => rmSync(dir, { recursive: true }))

describe('onnx-graph', () => {
  it('writes weights of either size, and a loop that reads the scope outside', async () => {
    const path = join(dir, 'model')
    writeModelFolder(path, (folder) => {
      const graph = createGraph(folder, 'test.onnx')
      const x = graph.input({ name: 'x', type: 'float32', dims: ['n', 2] })
      const scope = graph.at('block.0')
      const small = scope.weight('small', [2, 2], Float32Array.of(1, 0, 0, 2))
      const large = scope.weight('large', [2, 4096], new Float32Array(8192).fill(1))
      const wide = scope.at('up').op('MatMul', [scope.op('MatMul', [x, small]), large])
      const total = scope.op('ReduceSum', [wide, scope.int64([1])], { keepdims: 0 })
      const [last, all] = graph.at('repeat').loop({
        steps: graph.int64(3),
        carried: [{ name: 'sum', type: 'float32', dims: ['n'] }],
        initial: [total],
        stacked: [{ name: 'sums', type: 'float32', dims: ['n'] }],
        body(body, step, [sum]) {
          const count = body.op('Cast', [step], { to: 1 })
          const next = body.op('Add', [body.op('Add', [sum!, count]), total])
          return { carried: [next], stacked: [next] }
        },
      })
      graph.output({ name: 'last', type: 'float32', dims: ['n'] }, last!)
      graph.output({ name: 'all', type: 'float32', dims: [3, 'n'] }, all!)
      graph.write()
      return { files: folder.files }
    })
    assert.deepEqual(readdirSync(dir), ['model'])
    const { files } = JSON.parse(readFileSync(join(path, 'manifest.json'), 'utf8'))
    assert.deepEqual(Object.keys(files), ['test.onnx.data', 'test.onnx'])
    assert.equal(files['test.onnx.data'].bytes, 2 * 4096 * 4)
    const session = await InferenceSession.create(join(path, 'test.onnx'))
    const { last, all } = await session.run({ x: new Tensor('float32', Float32Array.of(1, 1, 0, 1), [2, 2]) })
    // total = 4096 * (x0 + 2 * x1); each step adds it once more, and the step's number.
    assert.deepEqual([...(last!.data as Float32Array)], [4 * 12288 + 3, 4 * 8192 + 3])
    assert.deepEqual(all!.dims, [3, 2])
    await session.release()
  })

  it('leaves nothing behind when the build fails', () => {
    const path = join(dir, 'failed')
    const fill = () => {
      throw new Error('no such tensor')
    }
    assert.throws(() => writeModelFolder(path, fill), /no such tensor/)
    assert.ok(!readdirSync(dir).some((name) => name.includes('failed')))
  })

  it('replaces an older model whole', () => {
    const path = join(dir, 'twice')
    for (const name of ['a.onnx', 'b.onnx']) {
      writeModelFolder(path, (folder) => {
        folder.create(name).close()
        return { files: folder.files }
      })
    }
    assert.deepEqual(readdirSync(path).sort(), ['b.onnx', 'manifest.json'])
    assert.ok(!readdirSync(dir).some((name) => name.startsWith('.')))
  })
})

describe('what a killed build has left', () => {
  it('goes with the next build, unless the process may still be at work', () => {
    const parent = join(dir, 'leftovers')
    const { pid: dead } = spawnSync(process.execPath, ['-e', ''])
    const left = (owner: string, kind = 'partial') => `.model.${owner}.${randomUUID()}.${kind}`
    const kept = [left(`${hostname()}-${process.pid}`), left(`elsewhere-${dead}`)]
    const gone = ['partial', 'replaced', 'checkpoint'].map((kind) => left(`${hostname()}-${dead}`, kind))
    for (const name of [...gone, ...kept]) mkdirSync(join(parent, name), { recursive: true })
    removeLeftovers(parent)
    assert.deepEqual(readdirSync(parent).sort(), kept.toSorted())
  })
})
