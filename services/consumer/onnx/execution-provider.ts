import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { env } from 'onnxruntime-node'
import { type Graph, openGraph } from './graph.ts'

/** Opens a graph on the provider that is being tried. */
export type Open = (path: string) => Promise<Graph>

// What ONNX Runtime cannot do it throws as well; here that is said once, in the consumer's log.
env.logLevel = 'fatal'

/**
 * Loads all graphs on the first of the `wanted` providers that can have them: one provider for the whole process. Throws
 * with every provider's reason when none can.
 */
export async function loadOnFirst<T>(
  wanted: readonly string[],
  load: (open: Open, executionProvider: string) => Promise<T>,
  onFallback: (fallback: { from: string; to: string; reason: string }) => void,
): Promise<{ executionProvider: string; loaded: T }> {
  const reasons: string[] = []
  for (const [i, executionProvider] of wanted.entries()) {
    const opened: Graph[] = []
    try {
      const loaded = await load(async (path) => {
        const graph = await openGraph(path, { executionProviders: [executionProvider] })
        opened.push(graph)
        return graph
      }, executionProvider)
      return { executionProvider, loaded }
    } catch (error) {
      for (const graph of opened) await graph.release()
      const reason = whyNot(executionProvider, error as Error)
      reasons.push(`${executionProvider}: ${reason}`)
      const next = wanted[i + 1]
      if (next) onFallback({ from: executionProvider, to: next, reason })
    }
  }
  throw new Error(`no provider of EXECUTION_PROVIDERS=${wanted.join(',')} can load the models; ${reasons.join('; ')}`)
}

/** ONNX Runtime says that it cannot load a library, but not which: the system's loader does. */
function whyNot(provider: string, error: Error): string {
  const message = error.message.trim().replaceAll(/\s+/g, ' ')
  if (process.platform !== 'linux' || !/shared library/.test(message)) return message
  const folder = join(dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')), 'bin/napi-v6')
  const library = join(folder, 'linux', process.arch, `libonnxruntime_providers_${provider}.so`)
  try {
    process.dlopen({ exports: {} }, library)
  } catch (error) {
    const { message: detail } = error as Error
    const isMissing = detail.startsWith(`${library}: cannot open`)
    if (isMissing) return `${detail}; run: ONNXRUNTIME_NODE_INSTALL=true npm rebuild onnxruntime-node`
    if (detail.includes('cannot open')) return detail
  }
  return message
}
