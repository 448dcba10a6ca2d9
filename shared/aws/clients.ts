import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { SQSClient } from '@aws-sdk/client-sqs'
import { withDeadline } from '../deadline.ts'

/** Where the bucket and the queues are. `endpoint`: another address than Amazon's, such as the local stack. */
export interface AwsLocation {
  region: string
  endpoint?: string | undefined
  /** Without them, the SDK looks where it always does: environment, files, instance. */
  credentials?: S3ClientConfig['credentials'] | undefined
}

/** Seconds that one receive may wait for a message. Longer would save requests and delay a stop by as much. */
export const maxReceiveWaitSeconds = 5

const credentialsTimeout = 30_000
const connectionTimeout = 3_000
const requestTimeout = 15_000
const maxAttempts = 3
const maxSockets = 100

export function createS3Client(location: AwsLocation): S3Client {
  return new S3Client({ ...clientConfig(location), forcePathStyle: location.endpoint !== undefined })
}

/** For addresses that others use: only what a plain client sends is signed, and no checksum. It opens no connection. */
export function createPresigningClient(location: AwsLocation): S3Client {
  return new S3Client({
    ...clientConfig(location),
    forcePathStyle: location.endpoint !== undefined,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  })
}

/** For everything but receiving. */
export function createSqsClient(location: AwsLocation): SQSClient {
  return new SQSClient(clientConfig(location))
}

/** For receiving only: answers take as long as the queue is empty, and the poller itself tries again. */
export function createSqsReceiveClient(location: AwsLocation): SQSClient {
  const timeout = requestTimeout + maxReceiveWaitSeconds * 1_000
  const client = new SQSClient({ ...clientConfig(location, timeout), maxAttempts: 1 })
  // The timeouts are of the request: credentials, which come before it, may take for ever.
  const limitMs = credentialsTimeout + connectionTimeout + timeout
  const late = () => new Error(`no answer from SQS within ${limitMs / 1_000} s`)
  client.middlewareStack.add((next) => (args) => withDeadline(next(args), limitMs, late), { step: 'initialize' })
  return client
}

/**
 * Times in milliseconds: of the request every one is bounded, of the credentials none. `requestTimeout` runs to the
 * answer's headers, `socketTimeout` between two pieces of its body.
 */
function clientConfig({ region, endpoint, credentials }: AwsLocation, timeout = requestTimeout) {
  return {
    region,
    ...(endpoint && { endpoint }),
    ...(credentials && { credentials }),
    maxAttempts,
    requestHandler: {
      connectionTimeout,
      requestTimeout: timeout,
      throwOnRequestTimeout: true,
      socketTimeout: timeout,
      httpAgent: { keepAlive: true, maxSockets },
      httpsAgent: { keepAlive: true, maxSockets },
    },
  }
}
