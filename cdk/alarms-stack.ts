import { Duration, Stack } from 'aws-cdk-lib'
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch'
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions'
import { EventField, Match, Rule, RuleTargetInput } from 'aws-cdk-lib/aws-events'
import { SnsTopic } from 'aws-cdk-lib/aws-events-targets'
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Topic } from 'aws-cdk-lib/aws-sns'
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions'
import type { Construct } from 'constructs'
import { environmentOf, type Stage } from './stage.ts'
import { type Metrics, metricsOf, type Watched } from './stage-metrics.ts'

const { GREATER_THAN_OR_EQUAL_TO_THRESHOLD, LESS_THAN_THRESHOLD } = cloudwatch.ComparisonOperator
const { BREACHING, NOT_BREACHING } = cloudwatch.TreatMissingData

interface Signal {
  id: string
  /** Of the runbook. */
  heading: string
  text: string
  metric: cloudwatch.IMetric
  threshold: number
  /** Periods of the metric in a row. */
  periods: number
  /** Instead of reaching the threshold, staying below it. */
  isTooFew?: boolean
}

/** What has to be looked after, and a page that shows how it goes. */
export class AlarmsStack extends Stack {
  constructor(scope: Construct, id: string, { stage, ...watched }: { stage: Stage } & Watched) {
    super(scope, id, { env: environmentOf(stage), description: 'Promenade: alarms and the dashboard' })
    const metrics = metricsOf(stage, watched)
    const topic = new Topic(this, 'Alarms', { topicName: `promenade-${stage.name}-alarms`, enforceSSL: true })
    // Its policy for TLS takes the place of the one that a topic has by itself, which lets alarms in.
    topic.addToResourcePolicy(
      new PolicyStatement({
        sid: 'AlarmsOfTheAccount',
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': this.account } },
      }),
    )
    if (stage.alarm_email) topic.addSubscription(new EmailSubscription(stage.alarm_email))
    const action = new SnsAction(topic)
    for (const signal of [...pipelineSignals(stage, metrics), ...appSignals(metrics)]) {
      const alarm = new cloudwatch.Alarm(this, signal.id, {
        alarmName: `promenade-${stage.name} ${signal.heading}`,
        alarmDescription: `${signal.text} What to do: ${stage.runbook_url}#${anchorOf(signal.heading)}`,
        metric: signal.metric,
        threshold: signal.threshold,
        evaluationPeriods: signal.periods,
        comparisonOperator: signal.isTooFew ? LESS_THAN_THRESHOLD : GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        // What a function did not say for lack of rounds has an alarm of its own.
        treatMissingData: signal.isTooFew ? BREACHING : NOT_BREACHING,
      })
      alarm.addAlarmAction(action)
      alarm.addOkAction(action)
    }
    if (stage.pod_identity === 'roles-anywhere') tellOfCertificates(this, stage, topic)
    createDashboard(this, stage, metrics)
  }
}

/** Daily from 45 days on before one ends by which a pod, or the authority of all, has proven who it is. */
function tellOfCertificates(scope: Construct, { runbook_url }: Stage, topic: Topic): void {
  const text = `A certificate of the pods ends soon (${EventField.fromPath('$.detail-type')}). What to do: `
  new Rule(scope, 'Certificates', {
    description: 'Tells that a certificate of the pods ends soon',
    // Its calls are events of the same source.
    eventPattern: { source: ['aws.rolesanywhere'], detailType: Match.prefix('Roles Anywhere') },
    targets: [
      new SnsTopic(topic, {
        message: RuleTargetInput.fromText(`${text}${runbook_url}#${anchorOf('A certificate ends')}`),
      }),
    ],
  })
}

function pipelineSignals({ scaler: limits }: Stage, metrics: Metrics): Signal[] {
  return [
    {
      id: 'DeadLetters',
      heading: 'Dead letters',
      text: 'Pictures have failed for good.',
      metric: metrics.deadLetters,
      threshold: 1,
      periods: 1,
    },
    {
      id: 'MoreDeadLetters',
      heading: 'More dead letters',
      text: 'Further pictures have failed for good.',
      metric: metrics.moreDeadLetters,
      threshold: 1,
      periods: 1,
    },
    {
      id: 'Stalled',
      heading: 'No picture gets done',
      text: 'Pictures wait or are in work, and for half an hour none has ended.',
      metric: metrics.stalled,
      threshold: 1,
      periods: 30,
    },
    {
      id: 'OldMessages',
      heading: 'Pictures wait too long',
      text: `The oldest message has waited for more than twice the ${limits.target_seconds} s that it should.`,
      metric: metrics.oldestSeconds,
      threshold: 2 * limits.target_seconds,
      periods: 5,
    },
    {
      id: 'UnattendedBacklog',
      heading: 'A backlog without pods',
      text: 'Pictures wait, and no pod has come to work on them.',
      metric: metrics.unattended,
      threshold: 1,
      periods: Math.ceil((2 * limits.start_seconds) / 60),
    },
    {
      id: 'FailedPods',
      heading: 'Pods fail',
      text: 'Four pods and more have ended or not become ready within an hour.',
      metric: metrics.failed.with({ period: Duration.hours(1) }),
      threshold: 4,
      periods: 1,
    },
    {
      id: 'NoCapacity',
      heading: 'No GPU to be had',
      text: 'RunPod has none of the GPUs in any of the places.',
      metric: metrics.withoutCapacity,
      threshold: 1,
      periods: 10,
    },
    {
      id: 'ScalerErrors',
      heading: 'The scaler fails',
      text: 'Several of its rounds have ended with an error.',
      metric: metrics.scalerErrors,
      threshold: 3,
      periods: 1,
    },
    {
      id: 'ScalerSilent',
      heading: 'The scaler does not run',
      text: 'Pods are neither ordered nor ended, and go on costing money.',
      metric: metrics.scalerRounds,
      threshold: 1,
      periods: 2,
      isTooFew: true,
    },
    {
      id: 'CostCap',
      heading: 'The daily cost cap is reached',
      text: `$${limits.daily_usd} were spent on pods: none runs until midnight UTC.`,
      metric: metrics.capReached,
      threshold: 1,
      periods: 1,
    },
  ]
}

function appSignals({ api, webhookErrors, webhookRounds }: Metrics): Signal[] {
  return [
    {
      id: 'ApiFaults',
      heading: 'The API answers with errors',
      text: 'Five requests a minute and more have ended with a status of 500 and above.',
      metric: api.faults,
      threshold: 5,
      periods: 3,
    },
    {
      id: 'ApiLatency',
      heading: 'The API is slow',
      text: 'One request in a hundred takes as long as the gateway allows, which is 30 s.',
      metric: api.latency,
      threshold: 29_000,
      periods: 5,
    },
    {
      id: 'WebhookErrors',
      heading: 'Webhooks are not sent',
      text: 'Several runs of the function that sends them have ended with an error.',
      metric: webhookErrors,
      threshold: 3,
      periods: 1,
    },
    {
      id: 'WebhooksSilent',
      heading: 'The sender of webhooks does not run',
      text: 'Apps hear of no job that has ended.',
      metric: webhookRounds,
      threshold: 1,
      periods: 2,
      isTooFew: true,
    },
  ]
}

function createDashboard(scope: Construct, stage: Stage, metrics: Metrics): void {
  const graph = (title: string, left: cloudwatch.IMetric[], right: cloudwatch.IMetric[] = []) =>
    new cloudwatch.GraphWidget({ title, left, right, width: 12, height: 6 })
  const { api } = metrics
  new cloudwatch.Dashboard(scope, 'Dashboard', {
    dashboardName: `promenade-${stage.name}`,
    widgets: [
      [
        graph('Pictures', [metrics.waiting, metrics.inWork], [metrics.oldestSeconds]),
        graph(
          'Pods',
          [metrics.wanted, metrics.running, metrics.pods],
          [metrics.created, metrics.removed, metrics.failed],
        ),
      ],
      [
        graph('Dead letters and what has no pod', [metrics.deadLetters, metrics.unattended, metrics.withoutCapacity]),
        graph('USD on pods since midnight UTC', [metrics.spent], [metrics.scalerErrors]),
      ],
      [graph('Requests', [api.requests, api.refused, api.faults]), graph('Latency, ms', [api.latency])],
    ],
  })
}

/** As GitHub makes them of headings. */
export function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^a-z0-9 -]/g, '')
    .replaceAll(' ', '-')
}
