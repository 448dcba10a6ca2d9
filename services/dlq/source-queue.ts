import { GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs'
import { createCall } from '#shared/aws/queue.ts'
import { UsageError } from '#shared/command-line.ts'

const call = createCall(30_000)

/** What lies in a source queue are no letters, but events that nobody has worked on yet. Throws UsageError. */
export async function refuseSourceQueue({ sqs, dlqUrl }: { sqs: SQSClient; dlqUrl: string }): Promise<void> {
  const command = new GetQueueAttributesCommand({ QueueUrl: dlqUrl, AttributeNames: ['RedrivePolicy'] })
  const { Attributes: attributes } = await call('looking for the dead-letter queue', (bounded) =>
    sqs.send(command, bounded),
  )
  if (!attributes?.RedrivePolicy) return
  throw new UsageError('DLQ_URL names a queue that has a dead-letter queue itself: is it swapped with QUEUE_URL?')
}
