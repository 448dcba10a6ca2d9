import swagger from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
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
        description: 'Pictures in, music out: results by image key.',
        version: '1.0.0',
      },
      components: { securitySchemes: { apiKey: { type: 'http', scheme: 'bearer' } } },
      security: [{ apiKey: [] }],
    },
    refResolver: { buildLocalReference: (schema, _baseUri, _fragment, index) => String(schema.$id ?? `def-${index}`) },
  })
}
