import { readFileSync } from 'node:fs'
import type { Static, TSchema } from 'typebox'
import Value from 'typebox/value'
import { CheckpointError } from './checkpoint-error.ts'

/**
 * Reads a JSON file of a checkpoint, absent fields filled with the schema's defaults. Throws CheckpointError with the
 * field, what it must be and what it is.
 */
export function readCheckpointJson<S extends TSchema>(path: string, schema: S): Static<S> {
  const json = Value.Default(schema, parse(path))
  if (Value.Check(schema, json)) return json
  const errors = Value.Errors(schema, json)
  // Another architecture explains all the rest.
  const error = errors.find(({ instancePath }) => instancePath === '/model_type') ?? errors[0]!
  const { instancePath: pointer, message, params } = error
  const field = pointer.slice(1).replaceAll('/', '.') || 'the file'
  const found = JSON.stringify(pointer ? Value.Pointer.Get(json, pointer) : json)?.slice(0, 200)
  throw new CheckpointError(`${path}: ${field} ${message} (${JSON.stringify(params)}), found ${found}`)
}

function parse(path: string): unknown {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new CheckpointError(`${path}: cannot be read: ${(cause as Error).message}`, { cause })
  }
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new CheckpointError(`${path}: is not JSON: ${(cause as Error).message}`, { cause })
  }
}
