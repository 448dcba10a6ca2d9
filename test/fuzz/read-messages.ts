import type { DeadLetterReason } from '#shared/aws/queue.ts'
import { errorCodes } from '#shared/contract/error-code.ts'
import { imageKeyFault, jobId, musicKey, normalizeSequencer, objectUrl } from '#shared/contract/key.ts'
import type { Assignment, ImageUploaded } from '#shared/contract/queue-message.ts'
import type { TakeOrdered } from '#shared/contract/take-order.ts'
import { createLogger } from '#shared/logger.ts'
import { createMessageProcessor } from '../../services/consumer/pipeline/process-message.ts'
import type { Outcome } from './outcome.ts'

/** A message takes far less; a machine in trouble may need more. */
const mostMilliseconds = 2_000

/**
 * Gives messages to the consumer's reader, with a queue and a pipeline that look at what they are given: each must be
 * settled, either as work on pictures that can be, as nothing, or as a dead letter with its code.
 */
export function createMessageReader(bucket: string) {
  const faults: string[] = []
  let pictures = 0
  const letters: DeadLetterReason[] = []
  const { processMessage } = createMessageProcessor({
    queue: {
      changeVisibility: async () => true,
      deadLetter: async (_message, reason) => {
        letters.push(reason)
      },
    },
    pipeline: {
      processImage: async ({ assignment }) => {
        pictures++
        faults.push(...assignmentFaults(assignment, bucket))
        return 'settled'
      },
    },
    observer: { messageReceived() {}, messageRefused() {} },
    bucket,
    leaseSeconds: 60,
    logger: createLogger({ level: 'error', service: 'fuzz', destination: { write: (line) => void faults.push(line) } }),
    random: Math.random,
  })

  return async (body: string): Promise<Outcome> => {
    faults.length = 0
    pictures = 0
    letters.length = 0
    const startedAt = performance.now()
    const settled = await processMessage({ MessageId: 'm', Body: body }, new AbortController().signal)
    const milliseconds = performance.now() - startedAt
    if (!settled) faults.push('the message was not settled')
    if (letters.length > 1) faults.push(`${letters.length} dead letters`)
    faults.push(...letters.flatMap(letterFaults))
    if (milliseconds > mostMilliseconds) faults.push('it took too long')
    const result = letters[0]?.reasonCode ?? (pictures ? 'read' : 'nothing')
    return { result, ...(faults.length && { fault: faults.join('; ') }), milliseconds }
  }
}

/** What the database, the object store and the API rely on. */
function assignmentFaults(assignment: Assignment, bucket: string): string[] {
  const { key, version } = assignment
  const take = 'take' in assignment ? assignment.take : 0
  const rules: Record<string, boolean> = {
    'the bucket is ours': assignment.bucket === bucket,
    'the key can be': imageKeyFault(key) === undefined && key.isWellFormed(),
    'the version is of 1 to 1,024 characters of ASCII': /^[!-~]{1,1024}$/.test(version),
    'its music has a name': Buffer.byteLength(musicKey(key, jobId(assignment, take))) <= 1024,
    'it has an address': URL.canParse(objectUrl({ bucket, region: 'us-east-1', key })),
    ...('take' in assignment ? orderRules(assignment) : uploadRules(assignment)),
  }
  return Object.entries(rules).flatMap(([rule, kept]) =>
    kept ? [] : `not so: ${rule} (${JSON.stringify(assignment)})`,
  )
}

function uploadRules({ etag, size, sequencer }: ImageUploaded): Record<string, boolean> {
  return {
    'the etag is of at most 128 characters of ASCII': /^[!-~]{0,128}$/.test(etag),
    'the size is a number of bytes': Number.isSafeInteger(size) && size >= 0,
    'the sequencer is of 64 hexadecimal digits': /^[0-9A-F]{64}$/.test(normalizeSequencer(sequencer)),
  }
}

function orderRules({ take }: TakeOrdered): Record<string, boolean> {
  return { 'the take is a later one': Number.isInteger(take) && take > 0 && take < 2 ** 32 }
}

function letterFaults({ reasonCode, reason, attempts }: DeadLetterReason): string[] {
  if (!(reasonCode in errorCodes)) return [`no code: ${reasonCode}`]
  if (!reason || reason.length > 300) return [`the reason is empty or long: ${reason}`]
  return attempts === 1 ? [] : [`attempts: ${attempts}`]
}
