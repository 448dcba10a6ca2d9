import type { Described, JsonSchema } from '../open-api.ts'
import { createDraw, type Draw } from './draw.ts'
import {
  hostileBodies,
  hostileHeaders,
  hostileJson,
  hostileKeys,
  hostileMethods,
  hostileQueries,
  hostileTargets,
  hostileUrls,
} from './hostile-values.ts'
import type { Case } from './outcome.ts'
import type { RawRequest } from './raw-http.ts'

export interface RequestCase extends Case, RawRequest {
  kind: 'request'
  operation: Described
}

/** What requests are about. */
export interface Surroundings {
  operations: Described[]
  bucket: string
  region: string
  /** Pictures there are, and some that there are not. */
  keys: string[]
  /** Those of them that nothing more will happen to: POST /analyze waits for the others. */
  settledKeys: string[]
  authorization: string
  /** A port at which nothing must ever ask. */
  canary: number
}

const purpose = 3
const framing = /^(content-length|transfer-encoding|expect|upgrade|content-encoding)$/i

/** Makes the request of a number: as the document has it, almost so, or hostile. */
export function requestMutator(seed: number, given: Surroundings) {
  const urls = hostileUrls(given.bucket, given.region, given.canary)
  const bucketUrl = `https://${given.bucket}.s3.${given.region}.amazonaws.com`

  return (number: number): RequestCase => {
    const draw = createDraw(seed, purpose, number)
    const operation = draw.pick(given.operations)
    const request = validRequest(operation, draw)
    const changes = draw.pick([0, 1, 1, 1, 2, 3])
    const made = Array.from({ length: changes }, () => mutate(request, operation, draw))
    const group = ['valid', 'almost valid'][changes] ?? 'hostile'
    return {
      kind: 'request',
      number,
      group: `requests, ${group}`,
      operation,
      origin: originOf(operation, made),
      ...request,
    }
  }

  function validRequest({ method, path, parameters = [], requestBody }: Described, draw: Draw): RawRequest {
    const some = (place: string) => parameters.filter((each) => each.in === place && (each.required || draw.int(5) < 2))
    const key = draw.pick(given.keys).split('/').map(encodeURIComponent).join('/')
    const query = some('query').map(
      ({ name, schema }) => `${name}=${encodeURIComponent(String(drawValue(name, schema, draw)))}`,
    )
    const body = requestBody && JSON.stringify(drawValue('', requestBody.content['application/json']!.schema, draw))
    const headers = some('header').map(
      ({ name, schema }) => [name, String(drawValue(name, schema, draw))] as [string, string],
    )
    return {
      method,
      target: path.replace('{key}', key) + (query.length ? `?${query.join('&')}` : ''),
      headers: [
        ['Host', 'localhost'],
        ['Connection', 'close'],
        ['Authorization', given.authorization],
        ...headers,
        ...(body ? ([['Content-Type', 'application/json']] as [string, string][]) : []),
      ],
      body: body === undefined ? undefined : Buffer.from(body),
    }
  }

  /** Something that the schema allows; what has a meaning beyond it, by its name. */
  function drawValue(name: string, schema: JsonSchema, draw: Draw): unknown {
    if (name === 'key') return draw.pick(given.keys)
    if (name === 'image_url') {
      return `${bucketUrl}/${draw.pick(given.settledKeys).split('/').map(encodeURIComponent).join('/')}`
    }
    // Which must not hold up the others.
    const seconds = draw.int(6) ? 0 : 1
    if (name === 'wait') return seconds
    if (name === 'prefer') return `wait=${seconds}`
    if (schema.const !== undefined) return schema.const
    if (schema.enum) return draw.pick(schema.enum)
    const { minimum = 0, maximum = 100, minLength = 0 } = schema as Record<string, number>
    if (schema.type === 'integer') return draw.pick([minimum, minimum + 1, maximum])
    if (schema.type === 'number') return draw.pick([minimum, (minimum + maximum) / 2, maximum])
    if (schema.type === 'boolean') return draw.int(2) === 1
    if (schema.type === 'array') return [drawValue('', schema.items!, draw)]
    if (schema.format === 'date-time') return new Date(draw.int(2 ** 31) * 1000).toISOString()
    if (schema.type === 'object') {
      const fields = Object.entries(schema.properties ?? {})
      const chosen = fields.filter(([field]) => schema.required?.includes(field) || draw.int(2))
      return Object.fromEntries(chosen.map(([field, each]) => [field, drawValue(field, each, draw)]))
    }
    return draw.pick(['a', 'e1', 'landscape', 'A slow waltz']).padEnd(minLength, 'x')
  }

  /** Changes the request; returns what was changed. */
  function mutate(request: RawRequest, { path, method }: Described, draw: Draw): string {
    const [address] = request.target.split('?')
    const kinds = {
      key: () => {
        request.target = path.replace('{key}', draw.pick(hostileKeys))
      },
      query: () => {
        request.target += `${request.target.includes('?') ? '&' : '?'}${draw.pick(hostileQueries)}`
      },
      queryAlone: () => {
        request.target = `${address}?${draw.pick(hostileQueries)}`
      },
      target: () => {
        request.target = draw.pick(hostileTargets)
      },
      method: () => {
        request.method = draw.pick(hostileMethods)
      },
      header: () => {
        const header = draw.pick(hostileHeaders)
        request.isCut ||= framing.test(header[0])
        request.headers = [
          ...request.headers.filter(([name]) => name.toLowerCase() !== header[0].toLowerCase()),
          header,
        ]
      },
      repeatedHeader: () => {
        request.headers.push(draw.pick(request.headers))
      },
      lostHeader: () => {
        const lost = draw.int(request.headers.length)
        request.headers = request.headers.filter((_, index) => index !== lost)
      },
      bytes: () => {
        const [start, end] = draw.part(request.target.length)
        const noise = draw.bytes(end - start).toString('latin1')
        request.target = request.target.slice(0, start) + noise + request.target.slice(end)
      },
      body: () => {
        request.body = Buffer.from(draw.pick(hostileBodies), 'latin1')
      },
      value: () => {
        const { fields, text } = fieldsOf(request.body)
        const field =
          fields.length && draw.int(8) ? draw.pick(fields) : draw.pick(['__proto__', 'constructor', 'bucket'])
        const isUrl = field === 'image_url' && draw.int(4) > 0
        const value = isUrl ? JSON.stringify(draw.pick(urls)) : draw.pick(hostileJson)
        request.body = Buffer.from(
          `{${[...text.filter((each) => !each.startsWith(`"${field}"`)), `"${field}":${value}`]}}`,
        )
      },
      cutBody: () => {
        request.body = request.body?.subarray(0, draw.int(request.body.length + 1))
      },
    }
    const names = Object.keys(kinds) as (keyof typeof kinds)[]
    const ofBody = ['body', 'value', 'cutBody']
    const fitting =
      method === 'GET'
        ? names.filter((each) => !ofBody.includes(each) || draw.int(8) === 0)
        : ([...names, 'value', 'value'] as const)
    const name = draw.pick(fitting)
    kinds[name]()
    return name
  }
}

function originOf({ operationId }: Described, made: string[]): string {
  return `${operationId}${made.length ? ` with another ${made.join(', ')}` : ''}`
}

/** The fields of a body that still is an object, and each of them as JSON. */
function fieldsOf(body: Buffer | undefined): { fields: string[]; text: string[] } {
  try {
    const entries = Object.entries(JSON.parse(body!.toString()) as object)
    return {
      fields: entries.map(([name]) => name),
      text: entries.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`),
    }
  } catch {
    return { fields: [], text: [] }
  }
}
