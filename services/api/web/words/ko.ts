import type { Words } from './en.ts'

export const ko: Words = {
  shell: {
    skip: '본문으로 건너뛰기',
    nav: '페이지',
    views: { upload: '해 보기', gallery: '갤러리', operations: '운영' },
    docs: 'API 문서',
    again: '다시 시도',
    loading: '불러오는 중…',
  },
  access: {
    keyTitle: 'API 키가 필요합니다',
    keyHint: '키는 이 탭을 닫을 때까지 이 탭에만 보관됩니다.',
    key: 'API 키',
    enter: '이 키 사용',
    close: '나중에',
    another: 'API 키 입력',
  },
  upload: {
    title: '그림을 들어 보세요',
  },
  result: {
    title: '결과',
  },
  gallery: {
    title: '갤러리',
  },
  operations: {
    title: '운영',
  },
  errors: {
    IMAGE_NOT_FOUND: '그림이 더 이상 없습니다. 다시 올려 주세요.',
    IMAGE_TOO_LARGE: '파일이 너무 큽니다. 더 작은 파일을 골라 주세요.',
    IMAGE_TOO_MANY_PIXELS: '그림의 픽셀이 너무 많습니다. 크기를 줄여 다시 시도해 주세요.',
    IMAGE_UNSUPPORTED_TYPE: '읽을 수 있는 그림 형식이 아닙니다. JPEG, PNG, WebP, GIF, TIFF, AVIF를 읽을 수 있습니다.',
    IMAGE_CORRUPT: '파일이 손상되어 그림을 읽을 수 없습니다.',
    IMAGE_EMPTY: '빈 파일입니다.',
    MESSAGE_UNREADABLE: '작업 요청을 읽을 수 없었습니다.',
    MESSAGE_FOREIGN_BUCKET: '다른 곳에 보관된 그림에 대한 요청입니다.',
    GENERATION_FAILED: '음악을 만들지 못했습니다. 다시 하면 될 수도 있습니다.',
    MODEL_UNAVAILABLE: '지금은 모델을 쓸 수 없습니다. 준비되면 이어집니다.',
    STORAGE_UNAVAILABLE: '지금은 저장소에 연결할 수 없습니다. 잠시 후 다시 시도해 주세요.',
    DATABASE_UNAVAILABLE: '지금은 데이터베이스에 연결할 수 없습니다. 잠시 후 다시 시도해 주세요.',
    CANCELED: '취소되었습니다.',
    UNAUTHORIZED: 'API 키가 필요합니다. 입력한 키가 없거나 알 수 없는 키입니다.',
    FORBIDDEN: '이 API 키로는 할 수 없는 일입니다.',
    RATE_LIMITED: '요청이 너무 많습니다. 잠시 후 다시 시도해 주세요.',
    INVALID_REQUEST: '올바르지 않은 요청입니다.',
    RESULT_NOT_FOUND: '그런 결과가 없습니다. 그림이 올라온 적이 없을 수 있습니다.',
    CONFLICT: '지금 상태에서는 할 수 없습니다. 그사이 상태가 바뀌었을 수 있습니다.',
    INTERNAL_ERROR: '서비스에 문제가 생겼습니다.',
    OVERLOADED: '지금은 요청이 너무 몰려 있습니다. 잠시 후 다시 시도해 주세요.',
    TIMEOUT: '시간이 너무 오래 걸렸습니다. 곧 끝날 수도 있으니 다시 확인해 주세요.',
    NETWORK_ERROR: '연결에 실패했습니다.',
    UPLOAD_REFUSED: '저장소가 그림을 받지 않았습니다.',
    UNEXPECTED_ANSWER: '응답을 이해할 수 없습니다. 중간에서 내용이 바뀌었을 수 있습니다.',
  },
}
