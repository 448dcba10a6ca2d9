import { CfnOutput, Duration, Stack } from 'aws-cdk-lib'
import * as iam from 'aws-cdk-lib/aws-iam'
import { CfnProfile, CfnTrustAnchor } from 'aws-cdk-lib/aws-rolesanywhere'
import { StringParameter } from 'aws-cdk-lib/aws-ssm'
import type { Construct } from 'constructs'
import { acknowledgeWildcards, operatorStatements, workerStatements } from './permissions.ts'
import { namesOf } from './resource-names.ts'
import { environmentOf, type Stage } from './stage.ts'
import { runpodSecret } from './worker-environment.ts'

const sessionSeconds = Duration.hours(1).toSeconds()

/** Who pods outside AWS are, and what an operator needs; both with no right that their code does not use. */
export class IdentityStack extends Stack {
  /** What pods find in their environment to prove it with. */
  readonly podEnvironment: Record<string, string>

  constructor(scope: Construct, id: string, stage: Stage) {
    super(scope, id, { env: environmentOf(stage), description: 'Promenade: what pods and operators may do' })
    const names = namesOf(stage)
    const createPolicy = (id: string, name: string, statements: iam.PolicyStatement[]) => {
      const managedPolicyName = `promenade-${stage.name}-${name}`
      const policy = new iam.ManagedPolicy(this, id, { managedPolicyName, statements })
      acknowledgeWildcards(policy, statements, 'Pictures and music have any number of names below their prefix.')
      return policy
    }
    createPolicy('OperatorPolicy', 'operator', operatorStatements(names))
    const policy = createPolicy('WorkerPolicy', 'worker', workerStatements(names))
    this.podEnvironment =
      stage.pod_identity === 'iam-user' ? createUser(this, stage, policy) : createRole(this, stage, policy)
  }
}

/** The certificate's key never leaves the pod, and what AWS gives for it is good for an hour. */
function createRole(scope: Construct, stage: Stage, policy: iam.ManagedPolicy): Record<string, string> {
  const name = `promenade-${stage.name}-worker`
  const anchor = new CfnTrustAnchor(scope, 'TrustAnchor', {
    name,
    enabled: true,
    source: {
      sourceType: 'CERTIFICATE_BUNDLE',
      sourceData: {
        x509CertificateData: StringParameter.valueForStringParameter(scope, `/promenade/${stage.name}/worker-ca`),
      },
    },
  })
  const principal = new iam.ServicePrincipal('rolesanywhere.amazonaws.com', {
    conditions: {
      ArnEquals: { 'aws:SourceArn': anchor.attrTrustAnchorArn },
      // Of all certificates of this authority only the workers'.
      StringEquals: { 'aws:PrincipalTag/x509Subject/CN': name },
    },
  })
  const role = new iam.Role(scope, 'WorkerRole', {
    roleName: name,
    assumedBy: new iam.SessionTagsPrincipal(principal),
    managedPolicies: [policy],
  })
  role.assumeRolePolicy?.addStatements(
    new iam.PolicyStatement({ principals: [principal], actions: ['sts:SetSourceIdentity'] }),
  )
  const profile = new CfnProfile(scope, 'Profile', {
    name,
    enabled: true,
    roleArns: [role.roleArn],
    durationSeconds: sessionSeconds,
  })
  const identity = {
    TRUST_ANCHOR_ARN: anchor.attrTrustAnchorArn,
    PROFILE_ARN: profile.attrProfileArn,
    ROLE_ARN: role.roleArn,
  }
  for (const [name, value] of Object.entries(identity)) new CfnOutput(scope, camelCase(name), { value })
  return {
    ...identity,
    WORKER_CERTIFICATE: runpodSecret(stage, 'certificate'),
    WORKER_PRIVATE_KEY: runpodSecret(stage, 'private_key'),
  }
}

/** The keys are made by hand, so that no template ever holds them. */
function createUser(scope: Construct, stage: Stage, policy: iam.ManagedPolicy): Record<string, string> {
  const group = new iam.Group(scope, 'Workers', { managedPolicies: [policy] })
  const user = new iam.User(scope, 'Worker', { groups: [group] })
  new CfnOutput(scope, 'UserName', { value: user.userName })
  return {
    AWS_ACCESS_KEY_ID: runpodSecret(stage, 'access_key_id'),
    AWS_SECRET_ACCESS_KEY: runpodSecret(stage, 'secret_access_key'),
  }
}

function camelCase(name: string): string {
  return name.toLowerCase().replace(/(^|_)(\w)/g, (_, _underscore, letter: string) => letter.toUpperCase())
}
