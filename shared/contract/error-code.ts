/**
 * Every code that a user of Promenade can meet, in a failed job or in an API problem.
 * `status`: the HTTP status when the API itself answers with it.
 */
export const errorCodes = {
  IMAGE_NOT_FOUND: { status: 404, title: 'The picture is not in the bucket' },
  IMAGE_TOO_LARGE: { status: 413, title: 'The picture has too many bytes' },
  IMAGE_TOO_MANY_PIXELS: { status: 413, title: 'The picture has too many pixels' },
  IMAGE_UNSUPPORTED_TYPE: { status: 415, title: 'The file is not a picture of a supported type' },
  IMAGE_CORRUPT: { status: 422, title: 'The picture cannot be decoded' },
  IMAGE_EMPTY: { status: 422, title: 'The file is empty' },
  MESSAGE_UNREADABLE: { status: 422, title: 'The message is of no known kind' },
  MESSAGE_FOREIGN_BUCKET: { status: 422, title: 'The message is about another bucket' },
  GENERATION_FAILED: { status: 500, title: 'The music could not be generated' },
  MODEL_UNAVAILABLE: { status: 503, title: 'The models are not available' },
  STORAGE_UNAVAILABLE: { status: 503, title: 'The object store is not available' },
  DATABASE_UNAVAILABLE: { status: 503, title: 'The database is not available' },
  CANCELED: { status: 409, title: 'The job was canceled' },
  UNAUTHORIZED: { status: 401, title: 'A valid API key is needed' },
  FORBIDDEN: { status: 403, title: 'The API key does not allow this' },
  RATE_LIMITED: { status: 429, title: 'Too many requests' },
  INVALID_REQUEST: { status: 400, title: 'The request is not valid' },
  RESULT_NOT_FOUND: { status: 404, title: 'No such result' },
  CONFLICT: { status: 409, title: 'The request conflicts with the present state' },
  INTERNAL_ERROR: { status: 500, title: 'Something went wrong on our side' },
  OVERLOADED: { status: 503, title: 'Too much to do at present' },
  TIMEOUT: { status: 504, title: 'Not finished in time' },
} as const

export type ErrorCode = keyof typeof errorCodes
