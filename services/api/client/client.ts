import { createActions } from './actions.ts'
import { systemClock } from './clock.ts'
import { type ConnectionOptions, createConnection } from './connection.ts'
import { createFollowing } from './following.ts'
import { createResults } from './results.ts'
import { createUploads } from './upload.ts'

export type * from './contract.ts'
export { PromenadeError } from './promenade-error.ts'

export type PromenadeClient = ReturnType<typeof createPromenadeClient>

/**
 * Promenade for apps: in browsers, React Native and Node. Every call can be aborted and ends in bounded time; what may
 * succeed later is tried again a few times.
 */
export function createPromenadeClient(options: ConnectionOptions, clock = systemClock) {
  const connection = createConnection(options, clock)
  const { result, list, page } = createResults(connection)
  const { wait, stream } = createFollowing(connection)
  const { upload, createUpload } = createUploads(connection)
  const { generate, cancel, analyze } = createActions(connection)
  return { upload, createUpload, result, wait, stream, list, page, generate, cancel, analyze }
}
