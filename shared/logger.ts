import { type DestinationStream, destination as fileDestination, type Logger, pino, stdTimeFunctions } from 'pino'

export type { Logger }

/** How deep a chain of causes is followed. */
const maxCauses = 5

/** Of lines that cannot be written; those after them are dropped. */
const maxUnwrittenBytes = 2 ** 20

/**
 * Structured logs, one JSON object per line on standard output, where containers collect them. Written synchronously,
 * so that the last line before an exit is not lost; who logs does not hear of an output that is full or gone. Every line
 * passes through `redact`.
 */
export function createLogger({
  level,
  service,
  destination = standardOutput(),
}: {
  level: string
  service: string
  destination?: DestinationStream
}): Logger {
  return pino(
    {
      level,
      base: { service, pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: describeError },
    },
    { write: (line) => destination.write(redact(line)) },
  )
}

function standardOutput(): DestinationStream {
  // There is nowhere left to say it, and the work goes on without.
  return fileDestination({ fd: 1, sync: true, maxLength: maxUnwrittenBytes }).on('error', () => {})
}

/** The context of every line about one picture. */
export function imageLogger(logger: Logger, image: { key: string; messageId: string | undefined }): Logger {
  return logger.child({ image_key: image.key, message_id: image.messageId })
}

/**
 * Replaces secrets inside a line of JSON, wherever they stand: in a field, a message, a stack or a URL. Repetitions are
 * bounded, since anyone may have written the line: its time grows no faster than its length.
 */
function redact(line: string): string {
  return line
    .replace(/:\/\/[^\s/":@]{0,200}:[^\s/"]{0,300}@/g, '://***@')
    .replace(/(X-Amz-(?:Signature|Credential|Security-Token)=)[^&\s"\\]+/gi, '$1***')
    .replace(/(\bwhsec_)[\w+/=-]+/g, '$1***')
    .replace(/(\bBearer )[\w.~+/=-]+/gi, '$1***')
    .replace(
      /("[\w-]{0,40}(?:authorization|password|secret\w{0,40}|api[_-]?keys?|token)":)"(?:[^"\\]|\\.)*"/gi,
      '$1"***"',
    )
}

interface ErrorDescription {
  type: string
  message: string
  code?: string | number
  status?: number
  stack?: string
  cause?: ErrorDescription
  errors?: ErrorDescription[]
}

/** An error with its chain of causes; only fields known to be harmless, since drivers hang statements on their errors. */
function describeError(error: unknown, depth = 0): ErrorDescription {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) }
  const { code, $metadata: metadata } = error as { code?: unknown; $metadata?: { httpStatusCode?: number } }
  return {
    type: error.name,
    message: error.message,
    ...((typeof code === 'string' || typeof code === 'number') && { code }),
    ...(metadata?.httpStatusCode && { status: metadata.httpStatusCode }),
    ...(error.stack && { stack: error.stack }),
    ...(error.cause !== undefined && depth < maxCauses && { cause: describeError(error.cause, depth + 1) }),
    ...(error instanceof AggregateError &&
      depth < maxCauses && { errors: error.errors.slice(0, 10).map((each) => describeError(each, depth + 1)) }),
  }
}
