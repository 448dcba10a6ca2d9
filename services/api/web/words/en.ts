/** Everything that the page says, in English; the other languages have the same. */
export const en = {
  shell: {
    skip: 'Skip to the content',
    nav: 'Pages',
    views: { upload: 'Try it', gallery: 'Gallery', operations: 'Operators' },
    docs: 'API reference',
    again: 'Try again',
    loading: 'Loading…',
  },
  access: {
    keyTitle: 'An API key is needed',
    keyHint: 'It is kept in this tab alone, until you close it.',
    key: 'API key',
    enter: 'Use this key',
    close: 'Not now',
    another: 'Enter an API key',
  },
  upload: {
    title: 'Hear a picture',
  },
  result: {
    title: 'Result',
  },
  gallery: {
    title: 'Gallery',
  },
  operations: {
    title: 'Operators',
  },
  errors: {
    IMAGE_NOT_FOUND: 'The picture is no longer there. Upload it again.',
    IMAGE_TOO_LARGE: 'The file is too large. Choose a smaller one.',
    IMAGE_TOO_MANY_PIXELS: 'The picture has too many pixels. Make it smaller and try again.',
    IMAGE_UNSUPPORTED_TYPE:
      'This is not a picture of a kind that can be read. JPEG, PNG, WebP, GIF, TIFF and AVIF can.',
    IMAGE_CORRUPT: 'The picture cannot be read: the file is damaged.',
    IMAGE_EMPTY: 'The file is empty.',
    MESSAGE_UNREADABLE: 'The order for this work could not be read.',
    MESSAGE_FOREIGN_BUCKET: 'The order was about pictures that are kept elsewhere.',
    GENERATION_FAILED: 'The music could not be made. It may go well another time.',
    MODEL_UNAVAILABLE: 'The models are not available at present. It goes on once they are.',
    STORAGE_UNAVAILABLE: 'The storage cannot be reached at present. Try again in a moment.',
    DATABASE_UNAVAILABLE: 'The database cannot be reached at present. Try again in a moment.',
    CANCELED: 'This was canceled.',
    UNAUTHORIZED: 'This needs an API key, and none that is known was given.',
    FORBIDDEN: 'Your API key does not allow this.',
    RATE_LIMITED: 'Too many requests. Wait a moment, then try again.',
    INVALID_REQUEST: 'This request is not valid.',
    RESULT_NOT_FOUND: 'There is no such result. Perhaps the picture was never uploaded.',
    CONFLICT: 'This is not possible as things stand: they may have changed meanwhile.',
    INTERNAL_ERROR: 'Something went wrong on our side.',
    OVERLOADED: 'Too much is asked of the service at present. Try again in a moment.',
    TIMEOUT: 'It took too long. It may still be done: look again.',
    NETWORK_ERROR: 'The connection failed.',
    UPLOAD_REFUSED: 'The storage refused the picture.',
    UNEXPECTED_ANSWER: 'The answer was not understood. Something between you and the service may have changed it.',
  },
}

export type Words = typeof en
