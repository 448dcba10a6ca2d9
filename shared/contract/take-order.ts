import Type, { type Static } from 'typebox'
import { type ImageVersion, maxKeyBytes } from './key.ts'

/** A take that has been ordered on a picture already analysed. Its job, in the database, says what it is to be made of. */
export interface TakeOrdered extends ImageVersion {
  /** From 1: the first take is nobody's order. */
  take: number
  /** When it was ordered. */
  eventTime: string
}

/** Our own command on the queue of events. */
export const TakeOrder = Type.Object({
  type: Type.Literal('promenade.generate'),
  bucket: Type.String({ minLength: 1, maxLength: 63 }),
  key: Type.String({ minLength: 1, maxLength: maxKeyBytes }),
  version: Type.String({ pattern: '^[!-~]{1,1024}$' }),
  take: Type.Integer({ minimum: 1, maximum: 2 ** 32 - 1 }),
  ordered_at: Type.String({ maxLength: 40 }),
})

export function takeOrderOf({ bucket, key, version, take, eventTime }: TakeOrdered): string {
  const order: Static<typeof TakeOrder> = {
    type: 'promenade.generate',
    bucket,
    key,
    version,
    take,
    ordered_at: eventTime,
  }
  // A key may have the two characters of JSON that SQS refuses.
  return JSON.stringify(order).replace(/[\ufffe\uffff]/g, (each) => `\\u${each.charCodeAt(0).toString(16)}`)
}

export function readTakeOrder({
  bucket,
  key,
  version,
  take,
  ordered_at: eventTime,
}: Static<typeof TakeOrder>): TakeOrdered {
  return { bucket, key, version, take, eventTime }
}
