import { UsageError } from '#shared/command-line.ts'
import { entryOf, isGenerated, isOnHub, type ModelName } from '../catalogue.ts'
import { checkpointDir } from '../checkpoint-store.ts'
import { copyCheckpoint } from '../copy-checkpoint.ts'
import { HubError } from './hub-error.ts'
import { isPulled, pullCheckpoint } from './pull-checkpoint.ts'
import { createPullProgress } from './pull-progress.ts'
import { createRepository } from './repository.ts'

const silenceMilliseconds = 30_000
const retryDelayMilliseconds = 1000

/** Brings the checkpoint of a model to where it is built from; says in a few words what was done. */
export async function pull(
  model: ModelName,
  options: {
    modelDir: string
    /** A local folder in place of the repository. */
    from?: string | undefined
    revision?: string | undefined
    env: { HF_ENDPOINT?: string; HF_TOKEN?: string; HF_HUB_OFFLINE?: string }
    signal: AbortSignal
    output: NodeJS.WriteStream
  },
): Promise<string> {
  const { modelDir, from, env, signal, output } = options
  const entry = entryOf(model)
  const dir = checkpointDir(modelDir, model)
  if (!isOnHub(entry)) {
    const origin = isGenerated(entry) ? 'generated when it is built' : 'built from a folder of yours with build --from'
    if (from) throw new UsageError(`${model} is ${origin}; there is nothing to pull. Give the folder to build --from`)
    return `${origin}; there is nothing to pull`
  }
  const { files, source, license } = entry
  if (from) {
    await copyCheckpoint(from, dir, { required: files, signal })
    return `copied to ${dir}`
  }
  const { repository, revision } = { ...source, ...(options.revision && { revision: options.revision }) }
  if (isPulled(dir, { repository, revision })) return `already pulled to ${dir}`
  const { endpoint, token, offline } = readHubSettings(env)
  if (offline) {
    const remedy = 'unset it, or name a local checkpoint with --from'
    throw new HubError(`${model}: is not in ${dir}, and HF_HUB_OFFLINE is set; ${remedy}`, { retryable: false })
  }
  const progress = createPullProgress(output)
  try {
    progress.note(`${model}: ${repository} at ${revision}, license ${license}`)
    const receipt = await pullCheckpoint(createRepository(repository, { endpoint, token, silenceMilliseconds }), {
      revision,
      required: files,
      dir,
      signal,
      retryDelayMilliseconds,
      progress,
    })
    return `pulled to ${dir} at commit ${receipt.revision}`
  } finally {
    progress.close()
  }
}

/** Neither the token nor the endpoint, which may have a password, is ever shown when it is refused. */
function readHubSettings({ HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE }: Record<string, string | undefined>) {
  const endpoint = (HF_ENDPOINT || 'https://huggingface.co').replace(/\/+$/, '')
  const url = /^https?:\/\/./.test(endpoint) ? URL.parse(endpoint) : null
  if (!url || url.username || url.password || url.search || url.hash) {
    const found = url ? 'one with them' : 'something else'
    const expected = 'an http or https URL without user name, password, query and fragment'
    throw new UsageError(`HF_ENDPOINT: expected ${expected}; found ${found}, not shown here`)
  }
  const token = HF_TOKEN?.trim()
  if (token && !/^hf_[A-Za-z0-9_-]+$/.test(token)) {
    const expected = 'hf_ and then letters, digits, _ or -'
    throw new UsageError(`HF_TOKEN: expected ${expected}; found something else, not shown here`)
  }
  return { endpoint, token, offline: /^(1|true|yes|on)$/i.test(HF_HUB_OFFLINE ?? '') }
}
