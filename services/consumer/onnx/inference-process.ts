// The inference process: loads the models, then answers the consumer's requests until the consumer goes away.
// ONNX Runtime blocks this thread while a graph runs; messages are read between the chunks of the decode loop.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { audioDecoder, musicDecoder, textEncoder } from '#shared/model/graph.ts'
import { ClassifierManifest, MusicManifest, tokenizerFile } from '#shared/model/manifest.ts'
import { createTextTokenizer, type TextTokenizer } from '#shared/text-tokenizer.ts'
import { createClassifier } from '../classifier/classifier.ts'
import { type BatchOptions, createBatcher } from '../musicgen/batcher.ts'
import { createComposer, stepsPerChunk } from '../musicgen/composer.ts'
import type { InferenceOptions, Request, Response } from './channel.ts'
import { loadOnFirst, type Open } from './execution-provider.ts'
import type { Graph } from './graph.ts'
import { readModel } from './model-folder.ts'

// A terminal's Ctrl-C and a container's SIGTERM reach this process too, but the consumer decides when it ends.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.on('disconnect', () => process.exit(0))

try {
  const options: InferenceOptions = JSON.parse(process.argv[2]!)
  const { music } = await readModel(options.modelDir, options.musicModel, MusicManifest)
  const tokenizer = await loadTokenizer(options, music)
  const { loaded, executionProvider } = await loadOnFirst(
    options.executionProviders,
    async (open, executionProvider) => ({
      composer: await loadComposer(options, { music, tokenizer, open, executionProvider }),
      classifier: await loadClassifier(options, open),
    }),
    (fallback) => send({ type: 'fallback', ...fallback }),
  )
  serve(loaded.composer, loaded.classifier, options)
  send({ type: 'ready', executionProvider })
} catch (error) {
  send({ type: 'fatal', message: (error as Error).message })
  process.disconnect()
}

type Music = MusicManifest['music']

async function loadTokenizer({ modelDir, musicModel }: InferenceOptions, music: Music): Promise<TextTokenizer> {
  const path = join(modelDir, musicModel, tokenizerFile)
  try {
    return createTextTokenizer(JSON.parse(await readFile(path, 'utf8')), music.maxTextTokens)
  } catch (cause) {
    throw new Error(`${path}: ${(cause as Error).message}`, { cause })
  }
}

async function loadComposer(
  { modelDir, musicModel }: InferenceOptions,
  {
    music,
    tokenizer,
    open,
    executionProvider,
  }: { music: Music; tokenizer: TextTokenizer; open: Open; executionProvider: string },
) {
  const folder = join(modelDir, musicModel)
  return createComposer({
    manifest: music,
    tokenizer,
    graphs: {
      textEncoder: await open(join(folder, textEncoder.file)),
      decoder: await open(join(folder, musicDecoder.file)),
      audioDecoder: await open(join(folder, audioDecoder.file)),
    },
    stepsPerChunk: stepsPerChunk(executionProvider),
  })
}

async function loadClassifier({ modelDir, classifierModel }: InferenceOptions, open: Open) {
  const { classifier: manifest } = await readModel(modelDir, classifierModel, ClassifierManifest)
  const graphs: Graph[] = []
  for (const { file } of manifest.graphs) graphs.push(await open(join(modelDir, classifierModel, file)))
  return createClassifier({ manifest, graphs })
}

/** Classifications are answered as they come, between the chunks of a composition. */
function serve(
  composer: ReturnType<typeof createComposer>,
  classifier: ReturnType<typeof createClassifier>,
  batching: BatchOptions,
): void {
  const cancels = new Map<number, AbortController>()
  const compose: typeof composer.compose = async (commissions, options) => {
    const startedAt = performance.now()
    await composer.compose(commissions, options)
    const seconds = (performance.now() - startedAt) / 1000
    const wanted = commissions.filter(({ signal }) => !signal.aborted)
    const musicSeconds = wanted.reduce((sum, { clip }) => sum + clip.seconds, 0)
    // Of what was given up there is no music whose making could be timed.
    if (wanted.length > 0) send({ type: 'generated', generation: { clips: wanted.length, musicSeconds, seconds } })
  }
  const batcher = createBatcher({ compose, ...batching })

  function answer(id: number, value: (Response & { type: 'answer' })['value']): void {
    if (cancels.delete(id)) send({ type: 'answer', id, value })
  }
  function fail(id: number, error: Error): void {
    if (cancels.delete(id)) send({ type: 'failure', id, message: error.message })
  }

  process.on('message', (request: Request) => {
    const { id } = request
    if (request.type === 'cancel') {
      cancels.get(id)?.abort()
      cancels.delete(id)
      return
    }
    const cancel = new AbortController()
    cancels.set(id, cancel)
    if (request.type === 'classify') {
      classifier.classify(request.views).then(
        (classification) => answer(id, classification),
        (error: Error) => fail(id, error),
      )
    } else {
      batcher.add({
        clip: request.clip,
        signal: cancel.signal,
        onProgress: (fraction) => send({ type: 'progress', id, fraction }),
        onWarning: (message) => send({ type: 'warning', id, message }),
        onFinished: (pcm) => answer(id, pcm),
        onFailed: (error) => fail(id, error),
      })
    }
  })
}

/** What cannot be told is lost, and the consumer must not wait for it: it replaces this process, or has gone itself. */
function send(response: Response): void {
  if (!process.connected) return
  process.send!(response, undefined, undefined, (error) => {
    if (error) process.exit(1)
  })
}
