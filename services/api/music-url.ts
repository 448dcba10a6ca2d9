import Type from 'typebox'
import type { Presigner } from '#shared/aws/presign.ts'
import { objectKey } from '#shared/contract/key.ts'
import type { Result } from '#shared/contract/result.ts'

const expiresInSeconds = 60 * 60

/** Of a query. */
export const musicUrlParameter = Type.Optional(
  Type.Literal('presigned', {
    description:
      'Has `music_url` be readable by everyone who has it, for an hour, as the music of a private bucket else is not; ' +
      'ask again for another. Such an answer has no `ETag`, and is not to be stored.',
  }),
)

/** The same result, its music to be had without credentials. */
export async function presignMusic(result: Result, presigner: Pick<Presigner, 'get'>): Promise<Result> {
  if (!result.music_url) return result
  const { url } = await presigner.get({ key: objectKey(result.music_url), expiresInSeconds })
  return { ...result, music_url: url }
}
