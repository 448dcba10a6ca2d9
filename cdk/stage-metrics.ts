import { Duration } from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import type { IFunction } from 'aws-cdk-lib/aws-lambda'
import { namesOf } from './resource-names.ts'
import { type MetricName, namespace } from './scaler/report.ts'
import type { Stage } from './stage.ts'

export interface Watched {
  scaler: IFunction
  webhooks: IFunction
  api: { id: string; faults: cloudwatch.IMetric }
}

export type Metrics = ReturnType<typeof metricsOf>

/** What the alarms and the dashboard of a stage look at. */
export function metricsOf(stage: Stage, { scaler, webhooks, api }: Watched) {
  const { name } = stage
  const names = namesOf(stage)
  const minutes = (count: number) => Duration.minutes(count)
  const ofQueue = (queue: string, metricName: string, statistic = 'Maximum') =>
    new cloudwatch.Metric({
      namespace: 'AWS/SQS',
      metricName,
      dimensionsMap: { QueueName: queue },
      statistic,
      period: minutes(1),
    })
  const math = (expression: string, usingMetrics: Record<string, cloudwatch.IMetric>) =>
    new cloudwatch.MathExpression({ expression, usingMetrics, period: minutes(1) })
  const ofScaler = (metricName: MetricName, statistic = 'Maximum') =>
    new cloudwatch.Metric({ namespace, metricName, dimensionsMap: { Stage: name }, statistic, period: minutes(1) })
  const ofApi = (metricName: string, statistic: string) =>
    new cloudwatch.Metric({
      namespace: 'AWS/ApiGateway',
      metricName,
      dimensionsMap: { ApiId: api.id },
      statistic,
      period: minutes(1),
    })
  const waiting = ofQueue(names.uploads.name, 'ApproximateNumberOfMessagesVisible')
  const inWork = ofQueue(names.uploads.name, 'ApproximateNumberOfMessagesNotVisible')
  const done = ofQueue(names.uploads.name, 'NumberOfMessagesDeleted', 'Sum')
  // Those that somebody looks at are hidden.
  const letters = {
    visible: ofQueue(names.deadLetters.name, 'ApproximateNumberOfMessagesVisible'),
    hidden: ofQueue(names.deadLetters.name, 'ApproximateNumberOfMessagesNotVisible'),
  }
  return {
    waiting,
    inWork,
    stalled: math('IF(waiting + inWork > 0 AND FILL(done, 0) == 0, 1, 0)', { waiting, inWork, done }),
    oldestSeconds: ofQueue(names.uploads.name, 'ApproximateAgeOfOldestMessage'),
    deadLetters: math('visible + hidden', letters),
    // Has no value in the first minute of a queue that was idle.
    moreDeadLetters: math('DIFF(visible + hidden)', letters),
    unattended: ofScaler('UnattendedBacklog'),
    withoutCapacity: ofScaler('PodsWithoutCapacity'),
    capReached: ofScaler('CostCapReached'),
    wanted: ofScaler('WantedPods'),
    running: ofScaler('RunningPods'),
    pods: ofScaler('Pods'),
    failed: ofScaler('FailedPods', 'Sum'),
    created: ofScaler('CreatedPods', 'Sum'),
    removed: ofScaler('RemovedPods', 'Sum'),
    spent: ofScaler('SpentTodayUsd'),
    scalerErrors: scaler.metricErrors({ period: minutes(5), statistic: 'Sum' }),
    scalerRounds: scaler.metricInvocations({ period: minutes(5), statistic: 'Sum' }),
    webhookErrors: webhooks.metricErrors({ period: minutes(5), statistic: 'Sum' }),
    webhookRounds: webhooks.metricInvocations({ period: minutes(5), statistic: 'Sum' }),
    api: {
      requests: ofApi('Count', 'Sum'),
      faults: api.faults,
      refused: ofApi('4xx', 'Sum'),
      latency: ofApi('Latency', 'p99'),
    },
  }
}
