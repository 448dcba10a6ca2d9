import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { SQSClient } from '@aws-sdk/client-sqs'

/** Where the bucket and the queues are. `endpoint`: another address than Amazon's, such as the local stack. */
export interface AwsLocation {
  region: string
  endpoint?: string | undefined
}

/** Seconds that one receive waits for a message: the most that SQS allows. */
export const receiveWaitSeconds = 20

const connectionTimeout = 3_000
const requestTimeout = 15_000
const maxAttempts = 3

export function createS3Client({ region, endpoint }: AwsLocation): S3Client {
  return new S3Client(clientConfig({ region, endpoint, forcePathStyle: endpoint !== undefined }))
}

/** For everything but receiving. */
export function createSqsClient({ region, endpoint }: AwsLocation): SQSClient {
  return new SQSClient(clientConfig({ region, endpoint }))
}

/** For receiving only: answers take as long as the queue is empty, and the poller itself tries again. */
export function createSqsReceiveClient({ region, endpoint }: AwsLocation): SQSClient {
  const timeout = requestTimeout + receiveWaitSeconds * 1_000
  return new SQSClient({ ...clientConfig({ region, endpoint }, timeout), maxAttempts: 1 })
}

/**
 * Times in milliseconds, every one of them bounded. `requestTimeout` runs to the answer's headers, `socketTimeout`
 * between two pieces of its body.
 */
function clientConfig(
  { endpoint, ...rest }: Pick<S3ClientConfig, 'forcePathStyle'> & AwsLocation,
  timeout = requestTimeout,
) {
  return {
    ...rest,
    ...(endpoint && { endpoint }),
    maxAttempts,
    requestHandler: {
      connectionTimeout,
      requestTimeout: timeout,
      throwOnRequestTimeout: true,
      socketTimeout: timeout,
      httpAgent: { keepAlive: true, maxSockets: 100 },
      httpsAgent: { keepAlive: true, maxSockets: 100 },
    },
  }
}
