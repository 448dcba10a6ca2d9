import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { openGraph } from '../../../services/consumer/onnx/graph.ts'
import { blockSizes, linear } from '../../../services/models/layers.ts'
import { writeModelFolder } from '../../../services/models/model-folder.ts'
import { createGraph } from '../../../services/models/onnx-graph.ts'
import { quantise } from '../../../services/models/quantise.ts'
import { createRandomWeights } from '../../../services/models/random-weights.ts'

const dir = mkdtempSync(join(tmpdir(), 'quantise-'))
after(() => rmSync(dir, { recursive: true }))

const shapes = [
  { inputs: 32, outputs: 24 },
  { inputs: 512, outputs: 7 },
  // The last block of a row is cut short.
  { inputs: 300, outputs: 17 },
]

describe('a quantised matrix', () => {
  for (const bits of [8, 4] as const) {
    it(`in ${bits} bits is off by no more than half a level within its range`, () => {
      for (const { inputs, outputs } of shapes) {
        const weight = random(inputs, outputs)
        const blockSize = 64
        const { scales, blocks } = quantise(weight, { inputs, outputs, bits, blockSize })
        const found = dequantise(weight, { inputs, outputs, bits, blockSize })
        for (let i = 0; i < weight.length; i++) {
          const block = Math.floor(i / inputs) * blocks + Math.floor((i % inputs) / blockSize)
          const exact = weight[i]! / scales[block]!
          const nearest = Math.min(Math.max(exact, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)
          const off = Math.abs(found[i]! / scales[block]! - nearest)
          assert.ok(off <= 0.5001, `${bits} bits: weight ${i} is off by ${off} levels`)
        }
      }
    })

    it(`in ${bits} bits is multiplied by ONNX Runtime as it was packed`, async () => {
      for (const { inputs, outputs } of shapes) {
        const weight = random(inputs, outputs)
        const path = join(dir, `${bits}-${inputs}`)
        writeModelFolder(path, (folder) => {
          const graph = createGraph(folder, 'linear.onnx', bits === 8 ? 'int8' : 'int4')
          const x = graph.input({ name: 'x', type: 'float32', dims: ['rows', inputs] })
          const bias = new Float32Array(outputs).fill(2)
          graph.output(
            { name: 'y', type: 'float32', dims: ['rows', outputs] },
            linear(graph, x, { weight, inputs, outputs, bias }),
          )
          graph.write()
          return { files: folder.files }
        })
        // Each row picks one input, which survives the rounding of x to 8 bits.
        const identity = Float32Array.from({ length: inputs * inputs }, (_, i) => (i % (inputs + 1) === 0 ? 1 : 0))
        const graph = await openGraph(join(path, 'linear.onnx'), { executionProviders: ['cpu'] })
        const { y } = await graph.run({ x: { type: 'float32', data: identity, dims: [inputs, inputs] } })
        await graph.release()
        const expected = dequantise(weight, { inputs, outputs, bits, blockSize: blockSizes[bits] })
        for (let input = 0; input < inputs; input++) {
          for (let output = 0; output < outputs; output++) {
            const found = Number(y!.data[input * outputs + output])
            assert.ok(Math.abs(found - 2 - expected[output * inputs + input]!) < 1e-5, `[${output}, ${input}]`)
          }
        }
      }
    })
  }

  it('keeps zeros', () => {
    const { packed, scales } = quantise(new Float32Array(64), { inputs: 64, outputs: 1, bits: 4, blockSize: 64 })
    assert.equal(Math.abs(scales[0]!), 0)
    assert.ok(packed.every((pair) => pair === 0x88))
  })
})

function random(inputs: number, outputs: number): Float32Array {
  return createRandomWeights(inputs)('weight', [outputs, inputs], { deviation: 0.1 }).data
}

/** What the packed levels stand for: [outputs, inputs] again. */
function dequantise(weight: Float32Array, options: Parameters<typeof quantise>[1]): Float32Array {
  const { inputs, bits, blockSize } = options
  const { packed, scales, blocks } = quantise(weight, options)
  return weight.map((_, i) => {
    const [row, column] = [Math.floor(i / inputs), i % inputs]
    const block = row * blocks + Math.floor(column / blockSize)
    const at = block * blockSize + (column % blockSize)
    const level = bits === 8 ? packed[at]! : (packed[at >> 1]! >> (4 * (at % 2))) & 15
    return (level - 2 ** (bits - 1)) * scales[block]!
  })
}
