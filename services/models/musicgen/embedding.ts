import { asFloat32, asReal } from '../layers.ts'
import type { Scope, Value } from '../onnx-graph.ts'
import type { Checkpoint } from '../safetensors.ts'
import type { DecoderConfig } from './config.ts'

/** Codes [batch, codebooks] at a position to [batch, width]: the sum of the codebooks' embeddings and the position's. */
export function createEmbedding(scope: Scope, checkpoint: Checkpoint, config: DecoderConfig) {
  const { num_codebooks: codebooks, vocab_size: codebookSize, hidden_size: width } = config
  const tokens = codebookSize + 1
  const tables = new Float32Array(codebooks * tokens * width)
  for (let k = 0; k < codebooks; k++) {
    tables.set(checkpoint.read(`decoder.model.decoder.embed_tokens.${k}.weight`, [tokens, width]), k * tokens * width)
  }
  const table = scope.weight('embed_tokens', [codebooks * tokens, width], tables)
  const offsets = scope.int64(Array.from({ length: codebooks }, (_, k) => k * tokens))
  // exp(-i ln 10000 / (half - 1)), rounded to float32 where the reference rounds.
  const half = width / 2
  const decay = Math.fround(-Math.log(10000) / (half - 1))
  const frequency = Float32Array.from({ length: half }, (_, i) => Math.exp(Math.fround(i * decay)))
  const frequencies = scope.weight('frequencies', [half], frequency, 'float32')

  return (step: Scope, codes: Value, position: Value): Value => {
    const embedded = step.op('Gather', [table, step.op('Add', [codes, offsets])])
    const sum = step.op('ReduceSum', [asFloat32(step, embedded), step.int64([1])], { keepdims: 0 })
    const angles = step.op('Mul', [step.cast(position, 'float32'), frequencies])
    const sinusoid = step.op('Concat', [step.op('Cos', [angles]), step.op('Sin', [angles])], { axis: 0 })
    return asReal(step, step.op('Add', [sum, sinusoid]))
  }
}
