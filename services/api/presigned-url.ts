import Type from 'typebox'
import type { Presigner } from '#shared/aws/presign.ts'
import { objectKey } from '#shared/contract/key.ts'
import type { Result } from '#shared/contract/result.ts'

const lifetime = {
  expiresInSeconds: 60 * 60,
  /** A browser that is told the same picture again and again loads it once. */
  sameForSeconds: 15 * 60,
}

const presigned = (description: string) => Type.Optional(Type.Literal('presigned', { description }))

/** Of a query. */
export const presignedParameters = {
  music_url: presigned(
    'Has `music_url` be readable by everyone who has it, for an hour, as the music of a private bucket else is not; ' +
      'ask again for another. Such an answer is not to be stored, and has no `ETag`.',
  ),
  image_url: presigned(
    'Has every result come with an `image_url`, also unfinished and failed ones, by which everyone who has it can read ' +
      'the picture, in this very version where the bucket keeps versions, for an hour; ask again for another. Such an ' +
      'answer is not to be stored, and has no `ETag` once the work has ended.',
  ),
}

interface Presigning {
  music_url?: 'presigned' | undefined
  image_url?: 'presigned' | undefined
}

/** The same result, with what is asked for to be had without credentials. */
export async function presignUrls(
  { result, versionId }: { result: Result; versionId: string | null },
  asked: Presigning,
  presigner: Pick<Presigner, 'get'>,
): Promise<Result> {
  const { key, music_url: music } = result
  const [image_url, music_url] = await Promise.all([
    asked.image_url && presigner.get({ key, versionId: versionId ?? undefined, disposition: 'inline', ...lifetime }),
    asked.music_url && music && presigner.get({ key: objectKey(music), ...lifetime }),
  ])
  return { ...result, ...(image_url && { image_url: image_url.url }), ...(music_url && { music_url: music_url.url }) }
}
