import { CfnOutput, Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import * as gateway from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import { Certificate } from 'aws-cdk-lib/aws-certificatemanager'
import type { IMetric } from 'aws-cdk-lib/aws-cloudwatch'
import { FilterPattern, LogGroup, MetricFilter, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'
import { createFunction } from './bundled-function.ts'
import { acknowledgeWildcards, apiStatements } from './permissions.ts'
import { namesOf } from './resource-names.ts'
import { namespace } from './scaler/report.ts'
import { environmentOf, type Stage, settingsOf } from './stage.ts'

/** The gateway gives up after 30 s. */
const timeoutSeconds = 29

/** The API on Lambda behind an HTTP API. `secrets`: settings, and the ARNs of what holds their values. */
export class ApiStack extends Stack {
  readonly apiId: string
  /** Answers with a status of 500 and above, but for those of pictures. */
  readonly faults: IMetric

  constructor(scope: Construct, id: string, { stage, secrets }: { stage: Stage; secrets: Record<string, string> }) {
    super(scope, id, { env: environmentOf(stage), description: 'Promenade: the API' })
    const names = namesOf(stage)
    const statements = apiStatements(names, { secrets: Object.values(secrets) })
    const fn = createFunction(this, 'Function', {
      entry: 'services/api/main.lambda.ts',
      folder: { name: 'page', script: 'services/api/bundle-page.ts' },
      description: 'The API of Promenade',
      timeoutSeconds,
      memoryMb: stage.api.memory_mb,
      environment: {
        BUCKET: names.bucket.name,
        QUEUE_URL: names.uploads.url,
        DLQ_URL: names.deadLetters.url,
        CORS_ORIGINS: stage.app_origins.join(','),
        ...(stage.database_ca && { DATABASE_CA: stage.database_ca }),
        // Pictures are let in by the same size that the consumer takes.
        ...settingsOf(stage, ['MAX_IMAGE_BYTES', 'LOG_LEVEL']),
        SECRETS: this.toJsonString(secrets),
      },
      statements,
    })
    acknowledgeWildcards(fn.role!, statements, 'Pictures and music have any number of names below their prefix.')

    const { domain } = stage.api
    const api = new gateway.HttpApi(this, 'Api', {
      apiName: `promenade-${stage.name}`,
      createDefaultStage: false,
      disableExecuteApiEndpoint: domain !== undefined,
    })
    const integration = new HttpLambdaIntegration('Integration', fn)
    // What the second stands for is never empty.
    const routes = ['/', '/{proxy+}'].flatMap((path) => api.addRoutes({ path, integration }))
    for (const route of routes) {
      Validations.of(route).acknowledge({
        id: 'AwsSolutions-APIG4',
        reason: 'The API itself asks for bearer keys and their scopes, on Lambda as elsewhere; health is open to all.',
      })
    }
    const log = new LogGroup(this, 'AccessLog', {
      retention: RetentionDays.ONE_MONTH,
      removalPolicy: RemovalPolicy.DESTROY,
    })
    this.faults = countFaults(this, stage, log)
    const stageOf = createStage(this, stage, api, log)
    if (domain) createDomain(this, { ...domain, api, stage: stageOf })
    new CfnOutput(this, 'ApiUrl', { value: domain ? `https://${domain.name}` : api.apiEndpoint })
    this.apiId = api.apiId
  }
}

/** `/analyze` answers 500 for a picture that has failed and 504 for one that is not done yet: those are not the API's. */
function countFaults(scope: Construct, { name }: Stage, logGroup: LogGroup): IMetric {
  const { all, any, stringValue } = FilterPattern
  const ofPicture = all(stringValue('$.status', '!=', '500'), stringValue('$.status', '!=', '504'))
  return new MetricFilter(scope, 'Faults', {
    logGroup,
    filterPattern: all(stringValue('$.status', '=', '5*'), any(stringValue('$.path', '!=', '/analyze'), ofPicture)),
    metricNamespace: namespace,
    metricName: `ApiFaults-${name}`,
  }).metric({ statistic: 'Sum', period: Duration.minutes(1) })
}

function createStage(
  scope: Construct,
  { api: limits }: Stage,
  httpApi: gateway.HttpApi,
  log: LogGroup,
): gateway.HttpStage {
  const fields = {
    time: '$context.requestTime',
    request_id: '$context.requestId',
    ip: '$context.identity.sourceIp',
    method: '$context.httpMethod',
    path: '$context.path',
    status: '$context.status',
    bytes: '$context.responseLength',
    latency_ms: '$context.responseLatency',
    error: '$context.integrationErrorMessage',
  }
  const stage = new gateway.HttpStage(scope, 'Stage', {
    httpApi,
    stageName: '$default',
    autoDeploy: true,
    throttle: { rateLimit: limits.requests_per_second, burstLimit: limits.burst },
  })
  const resource = stage.node.defaultChild as gateway.CfnStage
  resource.accessLogSettings = { destinationArn: log.logGroupArn, format: JSON.stringify(fields) }
  return stage
}

/** Its DNS record is made where the domain is kept: an alias, or a CNAME, to the output. */
function createDomain(
  scope: Construct,
  {
    name,
    certificate_arn,
    api,
    stage,
  }: NonNullable<Stage['api']['domain']> & { api: gateway.HttpApi; stage: gateway.HttpStage },
): void {
  const domainName = new gateway.DomainName(scope, 'Domain', {
    domainName: name,
    certificate: Certificate.fromCertificateArn(scope, 'Certificate', certificate_arn),
    securityPolicy: gateway.SecurityPolicy.TLS_1_2,
  })
  new gateway.ApiMapping(scope, 'Mapping', { api, stage, domainName })
  new CfnOutput(scope, 'DomainTarget', { value: domainName.regionalDomainName })
}
