import { Tokenizer } from '@huggingface/tokenizers'
import { createPrecompiledNormalizer } from './precompiled-normalizer.ts'

export interface TextTokenizer {
  /** Token ids of a prompt, ending with the end token; words beyond the model's limit are cut. */
  encode(prompt: string): { ids: number[]; truncated: boolean }
  /** Of all its tokens. */
  highestId: number
}

/** @param tokenizerJson the parsed tokenizer.json of the checkpoint */
export function createTextTokenizer(tokenizerJson: object, maxTokens: number): TextTokenizer {
  const tokenizer = new Tokenizer(tokenizerJson, {})
  useCharsmap(tokenizer.normalizer)
  let highestId = -1
  for (const id of tokenizer.get_vocab().values()) highestId = Math.max(highestId, id)
  return {
    highestId,
    encode(prompt) {
      const { ids } = tokenizer.encode(prompt)
      if (ids.length <= maxTokens) return { ids, truncated: false }
      return { ids: [...ids.slice(0, maxTokens - 1), ids.at(-1)!], truncated: true }
    },
  }
}

/** A normalizer of the package, which has no types for it. */
interface Normalizer {
  config: { type: string; precompiled_charsmap?: string }
  normalizers?: (Normalizer | null)[]
  normalize(text: string): string
}

/** The package itself has NFKC and a list of control characters in place of the checkpoint's own charsmap. */
function useCharsmap(normalizer: Normalizer | null): void {
  for (const each of normalizer?.normalizers ?? []) useCharsmap(each)
  if (normalizer?.config.type !== 'Precompiled') return
  normalizer.normalize = createPrecompiledNormalizer(normalizer.config.precompiled_charsmap ?? '')
}
