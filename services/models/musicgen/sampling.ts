import type { Scope, Value } from '../onnx-graph.ts'

/**
 * Classifier-free guidance: u + scale (c - u).
 * @param logits [2 x batch, codebooks, codebookSize], conditional rows first
 * @returns [batch, codebooks, codebookSize]
 */
export function guide(scope: Scope, logits: Value, scale: Value): Value {
  const [conditional, unconditional] = scope.ops('Split', [logits], 2, { axis: 0, num_outputs: 2 })
  const difference = scope.op('Sub', [conditional!, unconditional!])
  return scope.op('Add', [unconditional!, scope.op('Mul', [scale, difference])])
}

/**
 * Draws one code from each codebook's `topK` likeliest: the first, in the order of the codebook, at which the cumulative
 * probability passes the uniform draw. (In the order of likelihood, two codes that are about as likely would change
 * places with the rounding, which is not the same on every machine.) With a topK of 1 it is the likeliest. Where no logit is a
 * number, it is `codebookSize`, which is no code.
 * @returns [batch, codebooks] int64
 */
export function sample(
  scope: Scope,
  options: { logits: Value; uniform: Value; temperature: Value; topK: Value; codebookSize: number },
): Value {
  const { logits, uniform, temperature, topK, codebookSize } = options
  const kept = scope.op('Reshape', [scope.op('Min', [topK, scope.int64(codebookSize)]), scope.int64([1])])
  const scaled = scope.op('Div', [logits, temperature])
  const [likeliest] = scope.ops('TopK', [scaled, kept], 2, { sorted: 0 })
  const least = scope.op('ReduceMin', [likeliest!, scope.int64([-1])])
  const within = scope.op('GreaterOrEqual', [scaled, least])
  const masked = scope.op('Where', [within, scaled, scope.float32(Number.NEGATIVE_INFINITY)])
  const cumulative = scope.op('CumSum', [scope.op('Softmax', [masked], { axis: -1 }), scope.int64(-1)])
  // The sum of the probabilities may be rounded to less than a draw just under 1.
  const total = scope.op('ReduceMax', [cumulative, scope.int64([-1])])
  const reached = scope.op('Or', [
    scope.op('Greater', [cumulative, scope.op('Unsqueeze', [uniform, scope.int64([-1])])]),
    scope.op('GreaterOrEqual', [cumulative, total]),
  ])
  const count = scope.op('ReduceSum', [scope.op('Cast', [reached], { to: 7 }), scope.int64([-1])], { keepdims: 0 })
  return scope.op('Sub', [scope.int64(codebookSize), count])
}

/**
 * The column after `position` with the start token wherever a codebook is outside its frames: codebook k's frame f is
 * in column f + delay of k + 1.
 * @returns [batch, codebooks] int64
 */
export function holdDelays(
  scope: Scope,
  options: { sampled: Value; position: Value; frameCounts: Value; delays: number[]; startToken: number },
): Value {
  const { sampled, position, frameCounts, delays, startToken } = options
  const frames = scope.op('Sub', [position, scope.int64(delays)])
  const begun = scope.op('GreaterOrEqual', [frames, scope.int64(0)])
  const unfinished = scope.op('Less', [frames, scope.op('Unsqueeze', [frameCounts, scope.int64([1])])])
  const free = scope.op('And', [begun, unfinished])
  return scope.op('Where', [free, sampled, scope.int64(startToken)])
}
