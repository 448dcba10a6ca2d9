import swagger, { type SwaggerTransform, type SwaggerTransformObject } from '@fastify/swagger'
import type { FastifyContextConfig, FastifyInstance, FastifySchema } from 'fastify'
import Type, { type TSchema } from 'typebox'
import { type ErrorCode, errorCodes } from '#shared/contract/error-code.ts'
import { Problem, Result } from '#shared/contract/result.ts'
import packageJson from '../../../package.json' with { type: 'json' }
import { resultExamples } from '../examples.ts'
import { problemOf } from './problem.ts'

/** A code with another status than its own. */
type Answer = readonly [status: number, code: ErrorCode]

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The codes that a route answers with besides those that its kind of route always may. */
    problems?: (ErrorCode | Answer)[]
  }
}

const description = `Pictures in, music out.

An app asks \`POST /v1/uploads\` where to put a picture, puts it there, and follows the result by the picture's key: by
polling, by holding the call open (\`?wait=\`) or by a stream of server-sent events.

Every error is a Problem (RFC 9457) with a stable \`code\`. A method that an address does not have is answered 405 with
\`Allow\`, an address that does not exist 404, headers that are too long 431, and a request that does not arrive in time 408:
all INVALID_REQUEST but the last, TIMEOUT. Whatever is answered 429 or 503 may be asked again after \`Retry-After\` seconds.
A connection on which more than 16 answers are awaited at once is closed.`

const tags = [
  { name: 'Results', description: 'Where the work on a picture stands, and what came of it' },
  { name: 'Uploads', description: 'Where an app may put a picture' },
  { name: 'Actions', description: 'More music for a picture, or less' },
  { name: 'Operation', description: 'For whoever runs the service; open to everyone but where a scope is named' },
]

const seconds = (description: string) => Type.Integer({ minimum: 0, description })
const rateLimitHeaders = {
  ratelimit: Type.String({ description: 'Calls that the key has left, and seconds until it has all again' }),
  'ratelimit-policy': Type.String({ description: 'Calls that a key has in a minute' }),
}
const retryAfter = { 'retry-after': seconds('Seconds after which to ask again') }
const challenge = { 'www-authenticate': Type.String({ description: 'Bearer, and what was wrong with the key' }) }
const problemHeaders: Record<number, Record<string, TSchema>> = {
  401: challenge,
  403: challenge,
  429: retryAfter,
  503: retryAfter,
  504: retryAfter,
}

/** Describes the routes registered after it, from the schemas that check them. */
export async function describeApi(app: FastifyInstance): Promise<void> {
  app.addSchema(Result)
  app.addSchema(Problem)
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Promenade', description, version: packageJson.version },
      servers: [{ url: '/' }],
      tags,
      components: {
        securitySchemes: {
          apiKey: { type: 'http', scheme: 'bearer', description: 'An API key; the scope that a call needs is with it' },
        },
      },
    },
    transform: describeRoute,
    transformObject: addExamples,
    refResolver: { buildLocalReference: (schema, _baseUri, _fragment, index) => String(schema.$id ?? `def-${index}`) },
  })
}

const describeRoute: SwaggerTransform<FastifySchema> = ({ schema, url, route }) => {
  if (!schema || (schema as { hide?: boolean }).hide) return { schema: { hide: true } as FastifySchema, url }
  const { scope, problems = [] } = (route.config ?? {}) as FastifyContextConfig
  const { params } = schema as { params?: { properties: Record<string, TSchema> } }
  const key = params?.properties['*']
  const response = schema.response as Record<string, TSchema & { headers?: object }>
  const successes = Object.entries(response).map(([status, each]) => [
    status,
    { ...each, headers: { ...each.headers, ...(scope && rateLimitHeaders) } },
  ])
  return {
    schema: {
      ...schema,
      // A wildcard has no name, and a path parameter of OpenAPI must.
      ...(key && { params: Type.Object({ key }) }),
      security: scope ? [{ apiKey: [scope] }] : [],
      response: {
        ...Object.fromEntries(successes),
        ...problemResponses([...generalProblems(schema, scope), ...problems.map(withStatus)], scope),
      },
    } as FastifySchema,
    url: key ? url.replace('*', ':key') : url,
  }
}

const withStatus = (each: ErrorCode | Answer): Answer =>
  typeof each === 'string' ? [errorCodes[each].status, each] : each

/** What a route may answer by what it reads and by whom it lets in. */
function generalProblems({ params, querystring, headers, body }: FastifySchema, scope: string | undefined): Answer[] {
  return [
    ...(params || querystring || headers || body ? [withStatus('INVALID_REQUEST')] : []),
    ...(scope ? (['UNAUTHORIZED', 'FORBIDDEN', 'RATE_LIMITED', 'OVERLOADED'] as const).map(withStatus) : []),
    ...(body
      ? ([
          [413, 'INVALID_REQUEST'],
          [415, 'INVALID_REQUEST'],
        ] as const)
      : []),
    withStatus('INTERNAL_ERROR'),
    withStatus('TIMEOUT'),
  ]
}

/** One response for each status, with the codes that it may have. */
function problemResponses(answers: Answer[], scope: string | undefined) {
  const byStatus = Map.groupBy(new Map(answers.map((each) => [each.join(), each])).values(), ([status]) => status)
  return Object.fromEntries(
    Array.from(byStatus, ([status, those]) => {
      const codes = those.map(([, code]) => code)
      const examples = Object.fromEntries(codes.map((code) => [code, { value: problemOf(code, status) }]))
      const schema = { allOf: [Type.Ref('Problem')], properties: { status: { const: status }, code: { enum: codes } } }
      return [
        status,
        {
          description: codes.join(', '),
          headers: { ...problemHeaders[status], ...(scope && status !== 401 && status !== 403 && rateLimitHeaders) },
          content: { 'application/problem+json': { schema, examples } },
        },
      ]
    }),
  )
}

/** Wherever a result is answered, one in every state. */
const addExamples: SwaggerTransformObject = (given) => {
  const { openapiObject } = given as { openapiObject: Document }
  const examples = Object.fromEntries(Object.entries(resultExamples).map(([name, value]) => [name, { value }]))
  for (const { responses } of Object.values(openapiObject.paths).flatMap((path) => Object.values(path))) {
    for (const { content } of Object.values(responses)) {
      const media = content?.['application/json']
      if (media?.schema?.$ref === '#/components/schemas/Result') media.examples = { ...examples, ...media.examples }
    }
  }
  return openapiObject
}

/** As much of the document as is looked at. */
interface Document {
  paths: Record<string, Record<string, { responses: Record<string, { content?: Record<string, Media> }> }>>
}

interface Media {
  schema?: { $ref?: string }
  examples?: object
}
