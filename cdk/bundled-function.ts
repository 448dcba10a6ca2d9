import { fileURLToPath } from 'node:url'
import { Duration, RemovalPolicy, Stack, Validations } from 'aws-cdk-lib'
import { Rule, Schedule } from 'aws-cdk-lib/aws-events'
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets'
import { type PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam'
import { Architecture, Runtime } from 'aws-cdk-lib/aws-lambda'
import { type ICommandHooks, LogLevel, NodejsFunction, OutputFormat } from 'aws-cdk-lib/aws-lambda-nodejs'
import { type CfnLogGroup, LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs'
import type { Construct } from 'constructs'
import { allow } from './permissions.ts'
import { StageError } from './stage.ts'

const root = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url))

interface FunctionOptions {
  /** Relative to the root of the repository. */
  entry: string
  description: string
  timeoutSeconds: number
  memoryMb: number
  environment: Record<string, string>
  /** Beside writing its own log. */
  statements: PolicyStatement[]
  /** At once, at most. */
  concurrency?: number
  /** A script of the repository, given the path of a folder with this name to write beside the function's module. */
  folder?: { name: string; script: string }
}

/** A function bundled by the esbuild of this repository, with a log that is kept a month and no right but those named. */
export function createFunction(scope: Construct, id: string, options: FunctionOptions): NodejsFunction {
  const environment = { NODE_OPTIONS: '--enable-source-maps', ...options.environment }
  requireRoom(Stack.of(scope), environment)
  const logGroup = new LogGroup(scope, `${id}Log`, {
    retention: RetentionDays.ONE_MONTH,
    removalPolicy: RemovalPolicy.DESTROY,
  })
  const role = new Role(scope, `${id}Role`, {
    assumedBy: new ServicePrincipal('lambda.amazonaws.com'),
    description: `Runs: ${options.description}`,
  })
  const log = allow('WriteItsLog', ['logs:CreateLogStream', 'logs:PutLogEvents'], logGroup.logGroupArn)
  for (const statement of [log, ...options.statements]) role.addToPolicy(statement)
  Validations.of(role).acknowledge({
    id: `AwsSolutions-IAM5[Resource::<${Stack.of(scope).getLogicalId(logGroup.node.defaultChild as CfnLogGroup)}.Arn>]`,
    reason: 'The ARN of a log group ends with a star, which stands for its streams.',
  })
  return new NodejsFunction(scope, id, {
    description: options.description,
    entry: root(options.entry),
    depsLockFilePath: root('package-lock.json'),
    projectRoot: root('.'),
    runtime: Runtime.NODEJS_24_X,
    architecture: Architecture.ARM_64,
    role,
    logGroup,
    timeout: Duration.seconds(options.timeoutSeconds),
    memorySize: options.memoryMb,
    ...(options.concurrency !== undefined && { reservedConcurrentExecutions: options.concurrency }),
    environment,
    bundling: {
      format: OutputFormat.ESM,
      logLevel: LogLevel.WARNING,
      target: 'node24',
      minify: true,
      keepNames: true,
      sourceMap: true,
      sourcesContent: false,
      // What runs is what was tested: not the SDK that Lambda happens to have.
      bundleAwsSDK: true,
      ...(options.folder && { commandHooks: commandHooksOf(options.folder) }),
      // Packages that are CommonJS call it.
      banner: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);",
    },
  })
}

/** All of it as JSON, which is how Lambda measures it. */
const maxEnvironmentBytes = 4_096

/** Throws StageError. */
function requireRoom(stack: Stack, environment: Record<string, string>): void {
  const values = Object.entries(environment).map(([name, value]) => [name, asDeployed(stack.resolve(value))])
  const bytes = Buffer.byteLength(JSON.stringify(Object.fromEntries(values)))
  if (bytes <= maxEnvironmentBytes) return
  const [found, most] = [bytes, maxEnvironmentBytes].map((count) => count.toLocaleString('en'))
  throw new StageError(
    `${stack.stackName}: the environment of its function has about ${found} bytes, and Lambda takes ${most}: the stage ` +
      'names too much, such as more in database_ca than the authority itself, or too many app_origins',
  )
}

/** With something as long as the number of an account, or as an ARN, in place of what is known at deployment only. */
function asDeployed(resolved: unknown): string {
  if (typeof resolved === 'string') return resolved
  const { 'Fn::Join': join, Ref: name } = resolved as { 'Fn::Join'?: [string, unknown[]]; Ref?: string }
  if (join) return join[1].map(asDeployed).join(join[0])
  return '0'.repeat(name?.startsWith('AWS::') ? 14 : 120)
}

function commandHooksOf({ name, script }: { name: string; script: string }): ICommandHooks {
  return {
    beforeBundling: () => [],
    beforeInstall: () => [],
    afterBundling: (_input, output) => [`"${process.execPath}" "${root(script)}" "${output}/${name}"`],
  }
}

/** Calls it once a minute. A call that failed, or was missed, is not made up for: the next one sees more. */
export function callEveryMinute(scope: Construct, fn: NodejsFunction): void {
  const minute = Duration.minutes(1)
  const once = { retryAttempts: 0, maxEventAge: minute }
  // The rule hands its event to a queue of Lambda's, and each of them would try again.
  fn.configureAsyncInvoke(once)
  new Rule(scope, 'EveryMinute', { schedule: Schedule.rate(minute), targets: [new LambdaFunction(fn, once)] })
}
