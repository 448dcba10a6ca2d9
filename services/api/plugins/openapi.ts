import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import Type, { type TObject } from 'typebox'
import { Problem, Result } from '#shared/contract/result.ts'

/** Describes the routes registered after it, from the schemas that check them. */
export async function describeApi(app: FastifyInstance): Promise<void> {
  app.addSchema(Result)
  app.addSchema(Problem)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Promenade',
        description:
          'Pictures in, music out: results by image key. Every error is a Problem with a stable `code`; a method that ' +
          'an address does not have is answered 405 INVALID_REQUEST with `Allow`.',
        version: '1.0.0',
      },
      servers: [{ url: '/' }],
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
      security: [{ apiKey: [] }],
    },
    // A wildcard has no name, and a path parameter of OpenAPI must.
    transform: ({ schema, url }) => {
      const { params } = schema as { params?: TObject }
      if (!params?.properties['*']) return { schema, url }
      return {
        schema: { ...schema, params: Type.Object({ key: params.properties['*'] }) },
        url: url.replace('*', ':key'),
      }
    },
    refResolver: { buildLocalReference: (schema, _baseUri, _fragment, index) => String(schema.$id ?? `def-${index}`) },
  })
}
