import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import pLimit from 'p-limit'
import type { ErrorCode } from '#shared/contract/error-code.ts'
import { PermanentFailure, RetryableFailure } from '#shared/failure.ts'
import type { Reading, ReadingOptions } from './read-picture.ts'

/** From the picture process: `ready` once, then one of the others per picture. */
export type Answer =
  | { type: 'ready' }
  | { type: 'reading'; reading: Reading }
  | { type: 'refusal'; code: ErrorCode; message: string }
  | { type: 'failure'; message: string }

export type PictureReader = ReturnType<typeof createPictureReader>

const nothing = Buffer.alloc(0)
const entry = fileURLToPath(new URL('./picture-process.ts', import.meta.url))

/**
 * Reads pictures in a process of its own, since anyone may have made them: a few kilobytes can keep a decoder busy for
 * hours, in native code that nothing but the end of its process stops, and a fault in that code ends the process anyway.
 * Started for the first picture, and again for the first after its end.
 */
export function createPictureReader({
  timeoutSeconds = 30,
  env,
  ...options
}: ReadingOptions & {
  /** For one picture. The largest take some seconds; a machine in trouble may need more. */
  timeoutSeconds?: number
  env: NodeJS.ProcessEnv
}) {
  // A large picture takes a gigabyte while it is decoded.
  const oneAtATime = pLimit(1)
  let current: ChildProcess | undefined
  let isReady = false
  let closed = false

  function start(): ChildProcess {
    isReady = false
    const child = fork(entry, [JSON.stringify(options)], { serialization: 'advanced', env })
    const forget = () => {
      if (current === child) current = undefined
    }
    child.on('message', ({ type }: Answer) => {
      if (type === 'ready') isReady = true
    })
    child.on('error', forget).on('exit', forget)
    return child
  }

  async function inTurn(bytes: Buffer, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted()
    // Its turn comes all the same, and a picture of nobody's is not kept for it.
    let wanted = bytes
    const { promise: left, reject } = Promise.withResolvers<never>()
    const leave = () => {
      wanted = nothing
      reject(signal.reason)
    }
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await Promise.race([oneAtATime(() => ask(wanted, signal)), left])
    } finally {
      signal.removeEventListener('abort', leave)
    }
  }

  async function ask(bytes: Buffer, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted()
    if (closed) throw new RetryableFailure('MODEL_UNAVAILABLE', 'the reader of pictures is closed')
    try {
      current ??= start()
    } catch (error) {
      throw unanswered(`cannot be started: ${(error as Error).message}`)
    }
    const child = current
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const giveUp = (reason: unknown) => {
      if (current === child) current = undefined
      child.kill('SIGKILL')
      reject(reason)
    }
    const onMessage = (answer: Answer) => {
      if (answer.type !== 'ready') resolve(answer)
    }
    const onError = (error: Error) => giveUp(unanswered(`cannot be used: ${error.message}`))
    const onUnsent = ({ message }: Error) => {
      giveUp(new RetryableFailure('MODEL_UNAVAILABLE', `The decoder of pictures had ended: ${message}`))
    }
    const onExit = (status: number | null, by: string | null) => {
      giveUp(unanswered(`ended (${by ?? `exit status ${status}`})`))
    }
    const onTimeout = () => giveUp(unanswered(`did not answer within ${timeoutSeconds} s`))
    const onAbort = () => giveUp(signal.reason)
    const timer = setTimeout(onTimeout, timeoutSeconds * 1000)
    signal.addEventListener('abort', onAbort, { once: true })
    child.on('message', onMessage).on('error', onError).on('exit', onExit)
    try {
      // Without descriptors there is a child and no channel to it, and `error` is still to come.
      child.send?.(bytes, (error) => error && onUnsent(error))
      return await promise
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      child.off('message', onMessage).off('error', onError).off('exit', onExit)
    }
  }

  /** A process that has started is lost to the picture, or to a machine in trouble, which is why it may be tried again. */
  function unanswered(what: string): RetryableFailure {
    return new RetryableFailure(isReady ? 'IMAGE_CORRUPT' : 'MODEL_UNAVAILABLE', `The decoder of pictures ${what}`)
  }

  return {
    /**
     * Throws the PermanentFailure of `decodePicture`; RetryableFailure IMAGE_CORRUPT when the process is lost over the
     * picture or runs out of time, MODEL_UNAVAILABLE when it does not start or has ended before; `signal.reason` at once when
     * aborted.
     */
    async read(bytes: Buffer, signal: AbortSignal): Promise<Reading> {
      const answer = await inTurn(bytes, signal)
      if (answer.type === 'reading') return answer.reading
      if (answer.type === 'refusal') throw new PermanentFailure(answer.code, answer.message)
      throw new Error(answer.type === 'failure' ? answer.message : `expected an answer, found ${answer.type}`)
    },

    /** Ends the process; what it still owes fails. */
    close(): void {
      closed = true
      current?.kill('SIGKILL')
    },
  }
}
