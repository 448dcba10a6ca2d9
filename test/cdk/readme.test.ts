import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { digestOf, findApiKey, readApiKeys } from '../../services/api/api-key.ts'
import { readEndpoints } from '../../services/api/webhooks/endpoint.ts'
import { synthesise, testStage } from './synthesise.ts'

const readme = readFileSync(new URL('../../cdk/README.md', import.meta.url), 'utf8')
const hasOpenssl = spawnSync('openssl', ['version']).status === 0

/** The block of shell commands that has this text. */
function commandsWith(text: string): string {
  const blocks = Array.from(readme.matchAll(/^( *)```sh\n(.*?)^\1```$/gms), ([, , block]) => block!)
  const block = blocks.find((each) => each.includes(text))
  assert.ok(block, text)
  return block
}

test('the secrets that are put in by hand are what the services read', { skip: !hasOpenssl && 'no openssl' }, () => {
  const script = `set -eu
    aws() { printf '%s\\n' "$*"; }
    ${commandsWith('put api-keys')}
    printf '%s\\n' "$API_KEY" "$ADMIN_KEY"`
  const env = { PATH: process.env.PATH, RUNPOD_API_KEY: 'rpa_key', DATABASE_URL: 'mysql://u@h/d' }
  const lines = execFileSync('sh', ['-c', script], { env, encoding: 'utf8' }).trim().split('\n')
  const [appKey, adminKey] = lines.slice(-2) as [string, string]
  const secrets = new Map(
    lines.slice(0, -2).map((line) => {
      const [, name, value] = /^secretsmanager put-secret-value --secret-id (\S+) --secret-string (.+)$/.exec(line)!
      return [name!, value!] as const
    }),
  )
  assert.deepEqual([...secrets.keys()], ['runpod-api-key', 'database-url', 'api-keys', 'webhooks'].map(secretName))
  const keys = readApiKeys(secrets.get(secretName('api-keys'))!)
  const scopesOf = (key: string) => [...(findApiKey(keys, digestOf(key))?.scopes ?? [])]
  assert.deepEqual(scopesOf(appKey), ['read', 'upload', 'act'])
  assert.deepEqual(scopesOf(adminKey), ['admin'], 'what the runbook asks with')
  assert.equal(keys.length, 2)
  for (const key of [appKey, adminKey]) assert.ok(!secrets.get(secretName('api-keys'))!.includes(key), 'digests alone')
  assert.deepEqual(readEndpoints({ WEBHOOKS: secrets.get(secretName('webhooks'))! }).endpoints, [])
})

function secretName(name: string): string {
  return `promenade/staging/${name}`
}

test('the certificate of pods is of the authority, and no key lies where git would take it', {
  skip: !hasOpenssl && 'no openssl',
}, () => {
  const folder = mkdtempSync(join(tmpdir(), 'promenade-ca-'))
  try {
    const script = `set -eu
      aws() { printf '%s\\n' "$*"; }
      ${commandsWith('openssl req -x509')}`
    const said = execFileSync('sh', ['-c', script], {
      cwd: folder,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    assert.match(said, /^ssm put-parameter .*file:\/\/ca\.pem$/m)
    assert.deepEqual(readdirSync(folder), ['.local'])
    const verify = ['verify', '-purpose', 'sslclient', '-CAfile', '.local/ca/ca.pem', '.local/ca/worker.pem']
    assert.match(execFileSync('openssl', verify, { cwd: folder, encoding: 'utf8' }), /: OK\n$/)
    assert.match(readFileSync(new URL('../../.gitignore', import.meta.url), 'utf8'), /^\.local\/$/m)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the commands use nothing that none of them has made, but what other parties give', () => {
  const commands = Array.from(readme.matchAll(/^( *)```sh\n(.*?)^\1```$/gms), ([, , block]) => block!).join('')
  const used = new Set(Array.from(commands.matchAll(/\$([A-Z_]{2,})/g), ([, name]) => name!))
  const made = [...used].filter((name) => new RegExp(`^ *${name}=`, 'm').test(commands))
  assert.deepEqual(made.sort(), ['ADMIN_KEY', 'API_KEY', 'API_URL'])
  assert.deepEqual([...used].filter((name) => !made.includes(name)).sort(), ['DATABASE_URL', 'RUNPOD_API_KEY'])
})

test('operators find in the outputs of the stacks what `npm run dlq` reads', () => {
  const script = `set -eu
    aws() { printf '%s' "$*" | sed "s/.*stack-name promenade-\\([a-z-]*\\) .*OutputKey=='\\([A-Za-z]*\\)'.*/\\1 \\2/"; }
    npm() { printf '%s|' "$BUCKET" "$QUEUE_URL" "$DLQ_URL"; }
    ${commandsWith('output()').split('API_URL')[0]}
    ${commandsWith('export BUCKET')}`
  const env = { PATH: process.env.PATH }
  const stacks = ['BucketName', 'QueueUrl', 'DlqUrl'].map((name) => `staging-data ${name}|`)
  assert.equal(execFileSync('sh', ['-c', script], { env, encoding: 'utf8' }), stacks.join(''))
  const { data } = synthesise(testStage())
  for (const name of ['BucketName', 'QueueUrl', 'DlqUrl']) data.template.hasOutput(name, {})
})
