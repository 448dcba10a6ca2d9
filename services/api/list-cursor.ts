import { createHash } from 'node:crypto'
import type { ListFilters, ListPosition } from '#shared/db/result-list.ts'
import { PermanentFailure } from '#shared/failure.ts'

const timeBytes = 6
const idBytes = 16
const digestBytes = 14

/** Of the database's times. */
export const latestTime = Date.UTC(10_000, 0)

/** All cursors are so long. */
export const cursorPattern = '^[A-Za-z0-9_-]{48}$'

/** A place in a list, for whoever asks for its next page by the same filters. It is no secret and needs no guarding. */
export function writeCursor({ createdAt, id }: ListPosition, filters: ListFilters): string {
  const place = Buffer.alloc(timeBytes + idBytes)
  place.writeUIntBE(createdAt.getTime(), 0, timeBytes)
  place.write(id, timeBytes, 'hex')
  return Buffer.concat([place, digest(place, filters)]).toString('base64url')
}

/** Throws PermanentFailure INVALID_REQUEST for what is no cursor of a list by these filters. */
export function readCursor(cursor: string, filters: ListFilters): ListPosition {
  const bytes = Buffer.from(cursor, 'base64url')
  const place = bytes.subarray(0, timeBytes + idBytes)
  if (
    bytes.length !== timeBytes + idBytes + digestBytes ||
    !digest(place, filters).equals(bytes.subarray(place.length)) ||
    place.readUIntBE(0, timeBytes) >= latestTime
  ) {
    throw new PermanentFailure('INVALID_REQUEST', 'the cursor is not of a list by these filters')
  }
  return { createdAt: new Date(place.readUIntBE(0, timeBytes)), id: place.toString('hex', timeBytes) }
}

function digest(place: Buffer, { state, genre, style, prefix, since }: ListFilters): Buffer {
  return createHash('sha256')
    .update(place)
    .update(JSON.stringify([state, genre, style, prefix, since]))
    .digest()
    .subarray(0, digestBytes)
}
