import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { promisify } from 'node:util'
import { ConfigError } from '#shared/config.ts'
import { writeIdentity } from '../../../../services/consumer/pod/identity.ts'
import { certificate, otherPrivateKey, privateKey, signingHelper, workerIdentity } from '../../../worker-identity.ts'

const now = new Date('2026-12-01')
let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'promenade identity '))
})

afterEach(() => rm(folder, { recursive: true }))

const write = (changes: Partial<typeof workerIdentity> | Record<string, undefined> = {}, at = now) =>
  writeIdentity({ ...workerIdentity, ...changes }, { folder, now: at })

test('the SDK gets credentials by itself, and others before those have ended', async (t) => {
  const { AWS_CONFIG_FILE } = await write()
  const helper = join(folder, 'aws_signing_helper')
  await writeFile(helper, signingHelper, { mode: 0o755 })
  const signers: (string | undefined)[] = []
  const server = createServer((request, response) => {
    signers.push(/Credential=(\w+)/.exec(request.headers.authorization ?? '')?.[1])
    response.end('{}')
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  t.after(() => server.close())
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const script = `
    import { setTimeout as sleep } from 'node:timers/promises'
    import { ListQueuesCommand } from '@aws-sdk/client-sqs'
    import { createSqsClient } from '#shared/aws/clients.ts'
    const sqs = createSqsClient({ region: 'eu-west-1', endpoint: '${endpoint}' })
    for (let used; used !== 'ASIA2'; used = (await sqs.config.credentials()).accessKeyId) {
      await sqs.send(new ListQueuesCommand({}))
      await sleep(20)
    }
    await sqs.send(new ListQueuesCommand({}))`
  const env = {
    AWS_CONFIG_FILE,
    PATH: `${folder}${delimiter}${process.env.PATH}`,
    HOME: folder,
    AWS_EC2_METADATA_DISABLED: 'true',
  }
  await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], { env, timeout: 30_000 })
  // They end within the minutes that the SDK wants in hand, so that it fetches others while it uses them.
  assert.equal(signers[0], 'ASIA1')
  assert.match(signers.at(-1)!, /^ASIA[2-9]/)
  const [call] = (await readFile(`${helper}.calls`, 'utf8')).split('\n')
  const { words, ...found } = JSON.parse(call!)
  assert.deepEqual(words, [
    'credential-process',
    ...['--certificate', join(folder, 'certificate.pem')],
    ...['--private-key', join(folder, 'private-key.pem')],
    ...['--trust-anchor-arn', workerIdentity.TRUST_ANCHOR_ARN],
    ...['--profile-arn', workerIdentity.PROFILE_ARN],
    ...['--role-arn', workerIdentity.ROLE_ARN],
  ])
  assert.deepEqual(found.certificate, { mode: '600', text: certificate })
  assert.deepEqual(found.privateKey, { mode: '600', text: privateKey })
  assert.equal((await stat(AWS_CONFIG_FILE!)).mode & 0o777, 0o600)
})

test('a form for secrets may have spelled line breaks out, or taken them away', async () => {
  for (const change of [
    (pem: string) => pem.replaceAll('\n', '\\n'),
    (pem: string) => pem.replaceAll('\n', ' '),
    (pem: string) => pem.replaceAll('\n', '\r\n').trim(),
  ]) {
    await write({ WORKER_CERTIFICATE: change(certificate), WORKER_PRIVATE_KEY: change(privateKey) })
    assert.equal(await readFile(join(folder, 'certificate.pem'), 'utf8'), certificate)
    assert.equal(await readFile(join(folder, 'private-key.pem'), 'utf8'), privateKey)
  }
})

test('without a certificate nothing is written: the credentials are those of the environment', async () => {
  const none = Object.fromEntries(Object.keys(workerIdentity).map((name) => [name, undefined]))
  assert.deepEqual(await write(none), {})
  assert.deepEqual(await readdir(folder), [])
})

test('what cannot work is told before anything starts, and no key with it', async () => {
  const cut = (pem: string) => pem.replace(/(-----BEGIN[^\n]*\n).{10}/, '$1')
  for (const [says, changes, at] of [
    [/PROFILE_ARN, ROLE_ARN: missing, where WORKER_CERTIFICATE, /, { PROFILE_ARN: undefined, ROLE_ARN: undefined }],
    [/WORKER_PRIVATE_KEY is not the key of WORKER_CERTIFICATE/, { WORKER_PRIVATE_KEY: otherPrivateKey }],
    [/WORKER_PRIVATE_KEY is no private key in PEM/, { WORKER_PRIVATE_KEY: cut(privateKey) }],
    [/WORKER_CERTIFICATE is no certificate in PEM/, { WORKER_CERTIFICATE: cut(certificate) }],
    [/WORKER_CERTIFICATE has expired on 2126-/, {}, new Date('2200-01-01')],
  ] as [RegExp, Partial<typeof workerIdentity>, Date?][]) {
    await assert.rejects(write(changes, at), (error: Error) => {
      assert.ok(error instanceof ConfigError)
      assert.match(error.message, says)
      assert.doesNotMatch(error.message, /-----|M[IH][A-Za-z0-9+/]{20}/)
      return true
    })
    assert.deepEqual(await readdir(folder), [])
  }
})
