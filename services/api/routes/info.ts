import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import Type from 'typebox'
import type { Results } from '#shared/db/results.ts'
import packageJson from '../../../package.json' with { type: 'json' }
import { readTogether } from '../read-together.ts'

const keptMs = 60_000

const Model = Type.Object({ name: Type.String(), revision: Type.String() })
const Info = Type.Object(
  {
    version: Type.String({ description: 'Of Promenade' }),
    node: Type.String(),
    models: Type.Optional(
      Type.Object({ music: Model, classifier: Model }, { description: 'Of the newest result, if there is one' }),
    ),
  },
  {
    description: 'What runs here',
    examples: [
      {
        version: packageJson.version,
        node: 'v24.12.0',
        models: {
          music: { name: 'musicgen-small', revision: '4c8334b' },
          classifier: { name: 'siglip2-base-patch16-224', revision: '75de2d5' },
        },
      },
    ],
  },
)

/** `GET /info`: what runs here, and with which models the newest result was made. */
export function infoRoutes({ results }: { results: Pick<Results, 'models'> }): FastifyPluginAsyncTypebox {
  const readModels = readTogether(() => results.models(), { keptMs })

  return async (app) => {
    app.get(
      '/info',
      {
        config: { scope: 'read' },
        schema: {
          operationId: 'getInfo',
          tags: ['Operation'],
          summary: 'Versions and models',
          response: { 200: Info },
        },
      },
      async (request) => {
        const models = await readModels().catch((error: unknown) => {
          // The versions are worth telling without the database too.
          request.log.warn({ err: error }, 'the models are not known')
          return undefined
        })
        return { version: packageJson.version, node: process.version, ...(models && { models }) }
      },
    )
  }
}
