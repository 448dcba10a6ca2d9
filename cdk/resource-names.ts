import { Aws } from 'aws-cdk-lib'
import type { Stage } from './stage.ts'

export type ResourceNames = ReturnType<typeof namesOf>

/**
 * Names and addresses of what the data stack holds. They follow from the stage, so that other stacks, pods and people can
 * say them without asking the data stack for its outputs.
 */
export function namesOf({ name, account = Aws.ACCOUNT_ID, region }: Stage) {
  const bucket = `promenade-${name}-${account}-${region}`
  const queue = (queueName: string) => ({
    name: queueName,
    arn: `arn:${Aws.PARTITION}:sqs:${region}:${account}:${queueName}`,
    url: `https://sqs.${region}.${Aws.URL_SUFFIX}/${account}/${queueName}`,
  })
  return {
    account,
    bucket: { name: bucket, arn: `arn:${Aws.PARTITION}:s3:::${bucket}` },
    uploads: queue(`promenade-${name}-uploads`),
    deadLetters: queue(`promenade-${name}-dead-letters`),
  }
}
