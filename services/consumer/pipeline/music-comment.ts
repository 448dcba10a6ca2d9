import Type, { type Static } from 'typebox'
import Value from 'typebox/value'

/** What music is made of, as its WAV says it. */
const Making = Type.Object({
  prompt: Type.String(),
  seed: Type.Integer({ minimum: 0, maximum: 2 ** 32 - 1 }),
  model: Type.String(),
  revision: Type.String(),
})
export type Making = Static<typeof Making>

/** JSON: one line in any player, and free of control characters. */
export function commentOf({ prompt, seed, model, revision }: Making): string {
  return JSON.stringify({ prompt, seed, model, revision })
}

/** Undefined for what `commentOf` has not written. */
export function readComment(comment: string): Making | undefined {
  try {
    const json: unknown = JSON.parse(comment)
    return Value.Check(Making, json) ? json : undefined
  } catch {
    return undefined
  }
}
