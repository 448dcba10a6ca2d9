import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Inference } from '../../services/consumer/pipeline/music-maker.ts'
import { createStubInference } from '../stub-inference.ts'

type Stage = 'fetching' | 'classifying' | 'composing' | 'storing'

/** How much is composed while composing is held. */
const heldFraction = 0.4

/** What a consumer is to be given so that it stays in a stage for as long as a test holds it there. */
export async function startStepper(endpoint: string) {
  const gates = new Map<Stage, PromiseWithResolvers<void>>()
  const stub = createStubInference()

  async function gate(stage: Stage, signal?: AbortSignal): Promise<void> {
    const held = gates.get(stage)
    if (!held) return
    const aborted = Promise.withResolvers<never>()
    signal?.addEventListener('abort', () => aborted.reject(signal.reason))
    signal?.throwIfAborted()
    await Promise.race([held.promise, aborted.promise])
  }

  async function pass(message: IncomingMessage, response: ServerResponse): Promise<void> {
    if (message.method === 'GET') await gate('fetching')
    if (message.method === 'PUT') await gate('storing')
    const onward = request(new URL(message.url!, endpoint), { method: message.method, headers: message.headers })
    message.pipe(onward)
    const [answer] = (await once(onward, 'response')) as [IncomingMessage]
    response.writeHead(answer.statusCode!, answer.headers)
    answer.pipe(response)
  }

  const store = createServer((message, response) => {
    pass(message, response).catch((error: Error) => response.destroy(error))
  }).listen(0, '127.0.0.1')
  await once(store, 'listening')
  const inference: Partial<Inference> = {
    async classify(views, options) {
      await gate('classifying', options.signal)
      return stub.classify(views, options)
    },
    async compose(clip, options) {
      if (gates.has('composing')) options.onProgress(heldFraction)
      await gate('composing', options.signal)
      return stub.compose(clip, options)
    },
  }

  return {
    inference,
    settings: { AWS_ENDPOINT_URL: `http://127.0.0.1:${(store.address() as AddressInfo).port}` },

    hold(...stages: Stage[]): void {
      for (const stage of stages) gates.set(stage, Promise.withResolvers())
    },

    release(stage: Stage): void {
      gates.get(stage)?.resolve()
      gates.delete(stage)
    },

    async close(): Promise<void> {
      store.closeAllConnections()
      store.close()
      await once(store, 'close')
    },
  }
}
