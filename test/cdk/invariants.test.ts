import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Validations } from 'aws-cdk-lib'
import { synthesise, testStage } from './synthesise.ts'

// Synthesis itself fails on an error of cdk-nag or of CloudFormation's own rules.
const { outdir: _, ...stacks } = synthesise(testStage())
const resources = Object.values(stacks).flatMap(({ stack, template }) =>
  Object.entries(template.toJSON().Resources as Record<string, Resource>).map(([id, resource]) => ({
    id: `${stack.stackName}/${id}`,
    ...resource,
  })),
)

interface Statement {
  Effect: 'Allow' | 'Deny'
  Action: string | string[]
  Resource?: unknown
  Principal?: unknown
}

interface Resource {
  Type: string
  Properties: Record<string, unknown> & { PolicyDocument?: { Statement: Statement[] }; ManagedPolicyArns?: unknown[] }
}

const allowed = resources.flatMap(({ id, Properties: { PolicyDocument: policy } = {} }) =>
  (policy?.Statement ?? []).filter(({ Effect }) => Effect === 'Allow').map((statement) => ({ id, ...statement })),
)

test('no action is allowed by a wildcard, and none on every resource', () => {
  assert.ok(allowed.length > 10)
  for (const { id, Action, Resource } of allowed) {
    for (const action of [Action].flat()) assert.doesNotMatch(action, /\*/, `${id} allows ${action}`)
    for (const resource of [Resource].flat()) assert.notEqual(resource, '*', `${id} allows on every resource`)
  }
})

test('objects are allowed below a prefix only', () => {
  const wild = allowed.flatMap(({ Resource }) => [Resource].flat().map((resource) => JSON.stringify(resource)))
  // The third: S3 writes access logs.
  for (const resource of wild.filter((text) => text?.includes('*'))) {
    assert.match(resource, /(uploads|generated)\/\*"|"AccessLogs".*\/bucket\/\*"/)
  }
})

test('nobody outside the account is allowed anything', () => {
  for (const { id, Principal } of allowed) {
    assert.notDeepEqual(Principal, '*', id)
    assert.notDeepEqual(Principal, { AWS: '*' }, id)
  }
})

test('no role has a policy of AWS, which changes without us', () => {
  for (const { id, Properties } of resources) {
    for (const arn of Properties?.ManagedPolicyArns ?? []) assert.doesNotMatch(JSON.stringify(arn), /iam::aws/, id)
  }
})

test('no secret is written in a template', () => {
  const text = JSON.stringify(resources)
  for (const pattern of [/"SecretString"/, /resolve:secretsmanager/, /AKIA[0-9A-Z]{16}/, /PRIVATE KEY-----/]) {
    assert.ok(!pattern.test(text), String(pattern))
  }
})

test('every log is forgotten in time', () => {
  for (const { id, Properties } of resources.filter(({ Type }) => Type === 'AWS::Logs::LogGroup')) {
    assert.ok(Number(Properties.RetentionInDays) > 0, id)
  }
})

test('what cdk-nag is told to let pass is said with its reason', () => {
  const acknowledged = Object.values(stacks).flatMap(({ stack }) =>
    stack.node
      .findAll()
      .flatMap(({ node }) => node.metadata.filter(({ type }) => type === Validations.ACKNOWLEDGED_RULES_METADATA_KEY))
      .flatMap(({ data }) => Object.entries(data as Record<string, string>)),
  )
  assert.ok(acknowledged.length > 0)
  for (const [id, reason] of acknowledged) assert.match(String(reason), /^[A-Z].{30,}\.$/, id)
})
