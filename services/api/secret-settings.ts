import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { readConfig } from '#shared/config.ts'

type Environment = Readonly<Record<string, string | undefined>>

const requestTimeout = 5_000

/**
 * The environment with the values of those settings that lie in Secrets Manager, which `SECRETS` names. They are read once:
 * a changed secret is that of the functions that start after it. Throws ConfigError, or what Secrets Manager says.
 */
export async function readSecretSettings(env: Environment): Promise<Environment> {
  const { SECRETS: secrets } = readConfig(['SECRETS'], env)
  if (!secrets) return env
  const client = new SecretsManagerClient({
    maxAttempts: 3,
    requestHandler: { requestTimeout, throwOnRequestTimeout: true },
  })
  try {
    const values = Object.entries(JSON.parse(secrets) as Record<string, string>).map(async ([setting, secret]) => {
      const { SecretString: value } = await client.send(new GetSecretValueCommand({ SecretId: secret }))
      return [setting, value] as const
    })
    return { ...env, ...Object.fromEntries(await Promise.all(values)) }
  } finally {
    client.destroy()
  }
}
