import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'
import { ConfigError, readConfig } from '#shared/config.ts'
import { settings } from '#shared/contract/setting.ts'

type Environment = Readonly<Record<string, string | undefined>>

const requestTimeout = 5_000

const Secrets = Type.Partial(Type.Record(Type.Enum(Object.keys(settings)), Type.String({ minLength: 1 })), {
  additionalProperties: false,
})

/**
 * The environment with the values of those settings that lie in Secrets Manager, which `SECRETS` names. They are read once:
 * a changed secret is that of the functions that start after it. Throws ConfigError, or what Secrets Manager says.
 */
export async function readSecretSettings(env: Environment): Promise<Environment> {
  const { SECRETS: text } = readConfig(['SECRETS'], env)
  if (!text) return env
  const secrets = parse(text)
  const client = new SecretsManagerClient({
    maxAttempts: 3,
    requestHandler: { requestTimeout, throwOnRequestTimeout: true },
  })
  try {
    const values = Object.entries(secrets).map(async ([setting, secret]) => {
      const { SecretString: value } = await client.send(new GetSecretValueCommand({ SecretId: secret }))
      return [setting, value] as const
    })
    return { ...env, ...Object.fromEntries(await Promise.all(values)) }
  } finally {
    client.destroy()
  }
}

function parse(text: string): Static<typeof Secrets> {
  try {
    const secrets: unknown = JSON.parse(text)
    if (Value.Check(Secrets, secrets)) return secrets
  } catch {
    // The same fault.
  }
  throw new ConfigError(['SECRETS must be JSON of settings and their secrets: {"DATABASE_URL":"arn:aws:..."}'])
}
