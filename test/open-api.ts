import Schema from 'typebox/schema'

/** The parts of an OpenAPI document that the tests read, without references. */
export interface Described {
  method: string
  /** With its parameters in braces. */
  path: string
  operationId: string
  summary: string
  tags: string[]
  security: { apiKey: string[] }[]
  parameters?: { name: string; in: 'path' | 'query' | 'header'; required?: boolean; schema: JsonSchema }[]
  requestBody?: { content: Record<string, Media> }
  responses: Record<string, { description: string; headers?: Record<string, unknown>; content?: Record<string, Media> }>
}

export interface Media {
  schema: JsonSchema
  example?: unknown
  examples?: Record<string, { value: unknown }>
}

export interface JsonSchema {
  [keyword: string]: unknown
  type?: string
  enum?: unknown[]
  const?: unknown
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  examples?: unknown[]
}

/** The operations of a document, each with what it refers to in its place. */
export function operationsOf(document: { paths?: object | undefined }): Described[] {
  const paths = resolve(document, document.paths) as Record<string, Record<string, Omit<Described, 'method' | 'path'>>>
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  )
}

function resolve(document: unknown, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((each) => resolve(document, each))
  if (typeof value !== 'object' || value === null) return value
  if ('$ref' in value) {
    const path = String(value.$ref).slice('#/'.length).split('/')
    const found = path.reduce<unknown>((part, name) => (part as Record<string, unknown>)[name], document)
    return resolve(document, found)
  }
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, resolve(document, each)]))
}

/** What of a value its schema does not allow. */
export function faultsOf(schema: JsonSchema, value: unknown): string[] {
  const [, errors] = Schema.Errors(schema, value)
  return errors.map(({ instancePath, message }) => `${instancePath} ${message}`)
}
