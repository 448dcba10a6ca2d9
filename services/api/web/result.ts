import { h } from './dom.ts'
import type { View } from './main.ts'
import { words } from './words.ts'

export async function showResult({ main }: View): Promise<void> {
  main.append(h('h1', {}, words.result.title))
}
