import { Tokenizer } from '@huggingface/tokenizers'

export interface TextTokenizer {
  /** Token ids of a prompt, ending with the end token; words beyond the model's limit are cut. */
  encode(prompt: string): { ids: number[]; truncated: boolean }
}

/** @param tokenizerJson the parsed tokenizer.json of the checkpoint */
export function createTextTokenizer(tokenizerJson: object, maxTokens: number): TextTokenizer {
  const tokenizer = new Tokenizer(tokenizerJson, {})
  return {
    encode(prompt) {
      const { ids } = tokenizer.encode(prompt)
      if (ids.length <= maxTokens) return { ids, truncated: false }
      return { ids: [...ids.slice(0, maxTokens - 1), ids.at(-1)!], truncated: true }
    },
  }
}
