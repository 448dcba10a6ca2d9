import { readdirSync, readFileSync } from 'node:fs'
import Type, { type Static } from 'typebox'
import Value from 'typebox/value'
import { readCertificates } from '#shared/contract/pem.ts'
import { type SettingName, settings } from '#shared/contract/setting.ts'
import { Limits } from './scaler/settings.ts'

const closed = { additionalProperties: false }
const origin = '^https://[a-z0-9.-]+(:\\d+)?$|^http://localhost(:\\d+)?$'

/** Settings of the consumer that name no resource, hold no secret and do not follow from the rest of the stage. */
export const tunableSettings = [
  'MUSIC_SECONDS',
  'BATCH_WAIT_MS',
  'MAX_GENERATION_SECONDS',
  'MAX_IMAGE_BYTES',
  'MAX_IMAGE_PIXELS',
  'LEASE_SECONDS',
  'MAX_ATTEMPTS',
  'GRACE_SECONDS',
  'LOG_LEVEL',
] as const satisfies SettingName[]

/** What one deployment is told: a file of cdk/stages, named by the stage. Nothing in it is secret. */
const Stage = Type.Object(
  {
    account: Type.Optional(
      Type.String({ pattern: '^\\d{12}$', description: 'Refuses every other AWS account; the caller’s when absent' }),
    ),
    region: Type.String({ pattern: '^[a-z]{2}(-[a-z]+)+-\\d$', description: 'Region of the bucket and the queues' }),
    app_origins: Type.Array(Type.String({ pattern: origin }), {
      minItems: 1,
      maxItems: 100,
      description: 'Pages that may upload and play, as scheme://host[:port]; the domain of the API may, too',
    }),
    alarm_email: Type.Optional(Type.String({ pattern: '^[^@\\s]+@[^@\\s]+$', description: 'Is told of every alarm' })),
    runbook_url: Type.String({ pattern: '^https://', description: 'Page whose headings the alarms link to' }),
    database_ca: Type.Optional(
      Type.String({
        description:
          'PEM of the authority of the database, where that is a private one; pods get the RunPod secret ' +
          'promenade_<stage>_database_ca',
      }),
    ),
    pod_identity: Type.Enum(['roles-anywhere', 'iam-user'], {
      description: 'How pods outside AWS prove who they are: a certificate, or the keys of a user',
    }),
    api: Type.Object(
      {
        requests_per_second: Type.Integer({ minimum: 1, maximum: 10_000, description: 'Of all clients; more get 429' }),
        burst: Type.Integer({ minimum: 1, maximum: 5_000, description: 'That may come at once' }),
        memory_mb: Type.Integer({ minimum: 256, maximum: 10_240 }),
        domain: Type.Optional(
          Type.Object(
            {
              name: Type.String({ pattern: '^[a-z0-9.-]+$' }),
              certificate_arn: Type.String({ pattern: '^arn:aws:acm:', description: 'In the same region' }),
            },
            { ...closed, description: 'Its own; without it, the name that AWS gives' },
          ),
        ),
      },
      closed,
    ),
    worker: Type.Object(
      {
        image: Type.String({
          pattern: '^[^\\s]+@sha256:[0-9a-f]{64}$|^[^\\s]+:[^\\s:/]+$',
          description: 'With its tag or digest',
        }),
        registry: Type.Optional(
          Type.String({ minLength: 1, description: 'Id of RunPod’s credential for a private registry' }),
        ),
        disk_gb: Type.Integer({ minimum: 5, maximum: 500, description: 'Container disk, wiped with the pod' }),
        music_model: settings.MUSIC_MODEL,
        classifier_model: settings.CLASSIFIER_MODEL,
        batch_size: settings.BATCH_SIZE,
        settings: Type.Optional(Type.Partial(Type.Pick(Type.Object(settings), [...tunableSettings]), closed)),
        hf_token: Type.Optional(
          Type.Boolean({ description: 'There is a RunPod secret promenade_<stage>_hf_token, and pods get it' }),
        ),
      },
      closed,
    ),
    scaler: Limits,
  },
  closed,
)

export type Stage = Static<typeof Stage> & { name: string }

/** Where its stacks are. */
export function environmentOf({ account, region }: Stage) {
  return { region, ...(account && { account }) }
}

/** What the stage sets of the settings with these names, as an environment has them. */
export function settingsOf(
  { worker: { settings: given = {} } }: Stage,
  names: readonly SettingName[],
): Record<string, string> {
  const entries = Object.entries(given).filter(([name]) => names.some((each) => each === name))
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]))
}

/** Every fault of a stage's file at once, one line each. */
export class StageError extends Error {
  override name = 'StageError'
}

/** Reads cdk/stages/<name>.json. Throws StageError. */
export function readStage(name: string): Stage {
  // It is part of the names of pods, which are told apart by it.
  if (!/^[a-z][a-z0-9]{1,15}$/.test(name))
    throw new StageError(`"${name}" is no stage: a to z and 0 to 9 only, 2 to 16`)
  const folder = new URL('stages/', import.meta.url)
  const names = readdirSync(folder).map((file) => file.replace(/\.json$/, ''))
  if (!names.includes(name)) throw new StageError(`There is no stage "${name}" in cdk/stages, but ${names.join(', ')}`)
  const text = readFileSync(new URL(`${name}.json`, folder), 'utf8')
  return checkStage(name, parse(name, text))
}

function parse(name: string, text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new StageError(`cdk/stages/${name}.json is not JSON: ${(error as Error).message}`, { cause: error })
  }
}

/** Throws StageError. */
export function checkStage(name: string, value: unknown): Stage {
  if (!Value.Check(Stage, value)) {
    throw faulty(
      name,
      Value.Errors(Stage, value).map(({ instancePath, message }) => `${instancePath || '/'} ${message}`),
    )
  }
  const { min_pods, max_pods, start_seconds, target_seconds } = value.scaler
  if (min_pods > max_pods) throw faulty(name, [`/scaler/min_pods must not be above max_pods: ${min_pods}, ${max_pods}`])
  if (start_seconds >= target_seconds) {
    throw faulty(name, [`/scaler/start_seconds must be below target_seconds: ${start_seconds}, ${target_seconds}`])
  }
  const { database_ca: authority } = value
  if (authority === undefined) return { ...value, name }
  const certificates = readCertificates(authority)
  if (!certificates) throw faulty(name, ['/database_ca holds no certificates in PEM, or a damaged one'])
  return { ...value, name, database_ca: certificates.join('') }
}

function faulty(name: string, faults: string[]): StageError {
  return new StageError(`cdk/stages/${name}.json has faults:\n${faults.map((fault) => `  ${fault}`).join('\n')}`)
}
