/** Runs once a minute: as many pods as the queue takes. */
import { randomBytes } from 'node:crypto'
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { GetParameterCommand, PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm'
import Value from 'typebox/value'
import { reportOf } from './report.ts'
import { runRound } from './round.ts'
import { createRunpod } from './runpod.ts'
import { ScalerSettings } from './settings.ts'
import { State } from './state.ts'

/** Of the time that Lambda gives, for the report. */
const reserveMs = 5_000

const settings = Value.Parse(ScalerSettings, JSON.parse(process.env.SCALER_SETTINGS ?? 'null'))
const client = {
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
}
const sqs = new SQSClient(client)
const ssm = new SSMClient(client)
const secrets = new SecretsManagerClient(client)

export async function handler(_event: unknown, context: { getRemainingTimeInMillis(): number }): Promise<void> {
  const signal = AbortSignal.timeout(Math.max(1, context.getRemainingTimeInMillis() - reserveMs))
  const now = Date.now()
  const round = await runRound({
    settings,
    runpod: createRunpod({ apiKey: await readApiKey(signal), endpoint: settings.endpoint }),
    depth,
    states: { read: readState, write: writeState },
    now: () => now,
    unique: () => randomBytes(4).toString('hex'),
    signal,
  })
  console.log(JSON.stringify(reportOf(settings.stage, now, round)))
  // Lambda counts it among the errors, for the alarm.
  if (round.faults.length) throw new Error(round.faults.join('; '))
}

/** Anew each time: a key that was changed is the one that counts. */
async function readApiKey(abortSignal: AbortSignal): Promise<string> {
  const { SecretString: key } = await secrets.send(new GetSecretValueCommand({ SecretId: settings.api_key_secret }), {
    abortSignal,
  })
  if (!key) throw new Error('the secret of the RunPod API key has no text')
  return key.trim()
}

async function depth(abortSignal: AbortSignal): Promise<{ visible: number; inFlight: number }> {
  const { Attributes: counts } = await sqs.send(
    new GetQueueAttributesCommand({
      QueueUrl: settings.queue_url,
      AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
    }),
    { abortSignal },
  )
  return {
    visible: Number(counts?.ApproximateNumberOfMessages),
    inFlight: Number(counts?.ApproximateNumberOfMessagesNotVisible),
  }
}

async function readState(abortSignal: AbortSignal) {
  const { Parameter: parameter } = await ssm.send(new GetParameterCommand({ Name: settings.state_parameter }), {
    abortSignal,
  })
  const saved: unknown = JSON.parse(parameter?.Value ?? 'null')
  return Value.Check(State, saved) ? saved : undefined
}

async function writeState(state: State, abortSignal: AbortSignal): Promise<void> {
  const command = new PutParameterCommand({
    Name: settings.state_parameter,
    Value: JSON.stringify(state),
    Overwrite: true,
  })
  await ssm.send(command, { abortSignal })
}
