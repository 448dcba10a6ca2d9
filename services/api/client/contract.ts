/** What the API takes and answers; its OpenAPI document says more. */

export type ErrorCode =
  | 'IMAGE_NOT_FOUND'
  | 'IMAGE_TOO_LARGE'
  | 'IMAGE_TOO_MANY_PIXELS'
  | 'IMAGE_UNSUPPORTED_TYPE'
  | 'IMAGE_CORRUPT'
  | 'IMAGE_EMPTY'
  | 'MESSAGE_UNREADABLE'
  | 'MESSAGE_FOREIGN_BUCKET'
  | 'GENERATION_FAILED'
  | 'MODEL_UNAVAILABLE'
  | 'STORAGE_UNAVAILABLE'
  | 'DATABASE_UNAVAILABLE'
  | 'CANCELED'
  | 'UNAUTHORIZED'
  | 'FORBIDDEN'
  | 'RATE_LIMITED'
  | 'INVALID_REQUEST'
  | 'RESULT_NOT_FOUND'
  | 'CONFLICT'
  | 'INTERNAL_ERROR'
  | 'OVERLOADED'
  | 'TIMEOUT'

export type JobState = 'queued' | 'processing' | 'succeeded' | 'failed' | 'canceled'

/** A field that does not apply yet is absent. */
export interface Result {
  /** The image key. */
  key: string
  version?: string
  /** 0 is the first; others were ordered. */
  take?: number
  status: JobState
  stage?: 'fetching' | 'classifying' | 'composing' | 'storing'
  /** 0 to 1. */
  progress?: number
  eta_seconds?: number
  attempt?: number
  created_at?: string
  started_at?: string
  finished_at?: string
  genre?: string
  genre_score?: number
  /** Five, the likeliest first. */
  styles?: { name: string; score: number }[]
  image_url?: string
  music_url?: string
  music?: { duration_seconds: number; sample_rate: number; prompt: string; seed: number; model: string }
  timings?: {
    queue_ms: number
    fetch_ms: number
    classify_ms: number
    generate_ms: number
    store_ms: number
    total_ms: number
  }
  error?: { code: ErrorCode; message: string; retryable: boolean }
}

/** RFC 9457. */
export interface Problem {
  type: string
  title: string
  status: number
  detail?: string
  instance?: string
  code: ErrorCode
}

/** What is left out is as in the first take; the seed is another. */
export interface TakeOrder {
  key: string
  version?: string
  prompt?: string
  seed?: number
  duration_seconds?: number
}

export interface Cancellation {
  key: string
  version?: string
  take?: number
}

export type PictureType = 'image/jpeg' | 'image/png' | 'image/webp' | 'image/gif' | 'image/tiff' | 'image/avif'

export interface UploadOrder {
  content_type: PictureType
  size_bytes?: number
  filename?: string
  method?: 'POST' | 'PUT'
}

export interface PresignedUpload {
  /** The image key. */
  key: string
  /** Path of the result. */
  result_url: string
  upload:
    | { method: 'POST'; url: string; fields: Record<string, string>; expires_at: string; max_bytes: number }
    | { method: 'PUT'; url: string; headers: Record<string, string>; expires_at: string; max_bytes: number }
}

/** Of `POST /analyze`. */
export interface Analysis {
  genre: string
  /** Five, the likeliest first. */
  styles: string[]
  image_url: string
  music_url: string
}
