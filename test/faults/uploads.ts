import type { ErrorCode } from '#shared/contract/error-code.ts'
import { badPictures, blackPng, drawPicture } from '../picture.ts'
import { createDraw } from './plan.ts'

export interface Picture {
  body: Buffer
  expected: 'succeeded' | ErrorCode
}

/** One upload and what becomes of it, in seconds from the start. */
export interface PlannedUpload {
  at: number
  key: string
  picture: Picture
  /** Something else that befalls the key so many seconds later. */
  later?: { after: number; put?: Picture }
  /** The event is sent again, so many seconds later each. */
  copies: number[]
}

/** More than this is too large, in every run. */
export const limits = { MAX_IMAGE_BYTES: '200000', MAX_IMAGE_PIXELS: '1000000' }

const sizes = [
  { width: 64, height: 48 },
  { width: 120, height: 90 },
  { width: 33, height: 200 },
]

/**
 * `count` uploads over `seconds`. Where they are `mixed`, some pictures can never succeed, some are overwritten, some
 * deleted, and for some the event comes several times, late and out of order.
 */
export async function planUploads({
  seed,
  count,
  seconds,
  mixed,
}: {
  seed: number
  count: number
  seconds: number
  mixed: boolean
}): Promise<PlannedUpload[]> {
  const draw = createDraw(seed + 1)
  const good = await Promise.all(
    sizes.flatMap((size, index) => [
      drawPicture(seed + index, size)
        .jpeg()
        .toBuffer(),
      drawPicture(seed + 10 + index, size)
        .png()
        .toBuffer(),
      drawPicture(seed + 20 + index, size)
        .webp()
        .toBuffer(),
    ]),
  )
  const bad = mixed ? await drawBadPictures() : []
  const drawGood = (): Picture => ({ body: draw.of(good), expected: 'succeeded' })

  return Array.from({ length: count }, (_, index) => {
    const lot = draw.between(0, 100)
    const picture = mixed && lot < 14 ? draw.of(bad) : drawGood()
    const upload: PlannedUpload = {
      at: (index / count) * seconds,
      key: `uploads/${seed}/${index} ${draw.of(['plain', 'a+b', '100%', '그림', 'a/b'])}`,
      picture,
      copies: [],
    }
    if (!mixed) return upload
    if (lot >= 14 && lot < 24) upload.later = { after: draw.between(0, 3), put: differentFrom(picture) }
    if (lot >= 24 && lot < 32) upload.later = { after: draw.between(0, 3) }
    if (draw.between(0, 1) < 0.3) upload.copies = Array.from({ length: draw.of([1, 2, 3]) }, () => draw.between(0, 6))
    return upload
  })

  function differentFrom(picture: Picture): Picture {
    const others = good.filter((body) => body !== picture.body)
    return { body: draw.of(others), expected: 'succeeded' }
  }
}

async function drawBadPictures(): Promise<Picture[]> {
  const { 'bomb.png': _, ...rest } = badPictures
  const drawn = Object.values(rest).map(async ({ make, code }) => ({ body: await make(), expected: code }))
  return [
    ...(await Promise.all(drawn)),
    { body: blackPng(1500, 1500), expected: 'IMAGE_TOO_MANY_PIXELS' },
    { body: Buffer.alloc(200_001, 1), expected: 'IMAGE_TOO_LARGE' },
  ]
}
