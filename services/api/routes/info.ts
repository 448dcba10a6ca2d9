import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { Results } from '#shared/db/results.ts'
import packageJson from '../../../package.json' with { type: 'json' }
import { problemResponse } from '../plugins/problem.ts'

const cacheMs = 60_000

const Model = Type.Object({ name: Type.String(), revision: Type.String() })
const Info = Type.Object({
  version: Type.String({ description: 'Of Promenade' }),
  node: Type.String(),
  models: Type.Optional(
    Type.Object({ music: Model, classifier: Model }, { description: 'Of the newest result, if there is one' }),
  ),
})

/** `GET /info`: what runs here, and with which models the newest result was made. */
export function infoRoutes({
  results,
  now = Date.now,
}: {
  results: Pick<Results, 'models'>
  now?: (() => number) | undefined
}): FastifyPluginAsyncTypebox {
  let known: { models: ReturnType<Results['models']>; until: number } | undefined

  return async (app) => {
    app.get(
      '/info',
      {
        config: { scope: 'read' },
        schema: {
          operationId: 'getInfo',
          summary: 'Versions and models',
          response: { 200: Info, '4xx': problemResponse, '5xx': problemResponse },
        },
      },
      async (request) => {
        if (!known || now() >= known.until) known = { models: results.models(), until: now() + cacheMs }
        const models = await known.models.catch((error: unknown) => {
          known = undefined
          // The versions are worth telling without the database too.
          request.log.warn({ err: error }, 'the models are not known')
          return undefined
        })
        return { version: packageJson.version, node: process.version, ...(models && { models }) }
      },
    )
  }
}
