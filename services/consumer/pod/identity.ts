import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Config, ConfigError } from '#shared/config.ts'
import { restorePem } from '#shared/contract/pem.ts'
import type { SettingName } from '#shared/contract/setting.ts'

export const identitySettings = [
  'WORKER_CERTIFICATE',
  'WORKER_PRIVATE_KEY',
  'TRUST_ANCHOR_ARN',
  'PROFILE_ARN',
  'ROLE_ARN',
] as const satisfies SettingName[]

/**
 * AWS's own, found on the PATH; it knows the region by the trust anchor. It has no time limit of its own, and who waits for
 * credentials waits for the one that was started first.
 */
const helper = 'timeout 30 aws_signing_helper credential-process'

/**
 * Turns the certificate of a pod outside AWS into what the AWS SDK finds by itself, and asks for new credentials before they
 * end: a profile that runs the helper of IAM Roles Anywhere. Writes it and what it names to `folder`, which must be private,
 * and returns the environment that names it: none where no certificate is set. Throws ConfigError, which shows no key.
 */
export async function writeIdentity(
  config: Config<(typeof identitySettings)[number]>,
  { folder, now }: { folder: string; now: Date },
): Promise<{ AWS_CONFIG_FILE?: string }> {
  const missing = identitySettings.filter((name) => config[name] === undefined)
  if (missing.length === identitySettings.length) return {}
  if (missing.length) {
    throw new ConfigError([`${missing.join(', ')}: missing, where ${identitySettings.join(', ')} belong together`])
  }
  const certificate = restorePem(config.WORKER_CERTIFICATE!)
  const privateKey = restorePem(config.WORKER_PRIVATE_KEY!)
  const faults = faultsOf(readCertificate(certificate), readPrivateKey(privateKey), now)
  if (faults.length) throw new ConfigError(faults)

  const files = { certificate: join(folder, 'certificate.pem'), privateKey: join(folder, 'private-key.pem') }
  const options = {
    certificate: JSON.stringify(files.certificate),
    'private-key': JSON.stringify(files.privateKey),
    'trust-anchor-arn': config.TRUST_ANCHOR_ARN,
    'profile-arn': config.PROFILE_ARN,
    'role-arn': config.ROLE_ARN,
  }
  const words = Object.entries(options).map(([name, value]) => `--${name} ${value}`)
  const configFile = join(folder, 'aws-config')
  const mode = 0o600
  await writeFile(files.certificate, certificate, { mode })
  await writeFile(files.privateKey, privateKey, { mode })
  await writeFile(configFile, `[default]\ncredential_process = ${[helper, ...words].join(' ')}\n`, { mode })
  return { AWS_CONFIG_FILE: configFile }
}

function faultsOf(certificate: X509Certificate | undefined, privateKey: KeyObject | undefined, now: Date): string[] {
  const faults: string[] = []
  if (!certificate) faults.push('WORKER_CERTIFICATE is no certificate in PEM')
  else if (certificate.validToDate <= now) {
    faults.push(`WORKER_CERTIFICATE has expired on ${certificate.validToDate.toISOString()}: issue another`)
  }
  if (!privateKey) faults.push('WORKER_PRIVATE_KEY is no private key in PEM, or one with a passphrase')
  else if (certificate && !certificate.checkPrivateKey(privateKey)) {
    faults.push('WORKER_PRIVATE_KEY is not the key of WORKER_CERTIFICATE')
  }
  return faults
}

function readCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}

function readPrivateKey(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem)
  } catch {
    return undefined
  }
}
