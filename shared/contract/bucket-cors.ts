/** What pages of the origins that are allowed may do with the bucket: upload, show, play. Its CORS rule, as S3 has it. */
export const bucketCors = {
  allowedMethods: ['GET', 'HEAD', 'POST', 'PUT'] as const,
  /** `*` stands for any characters. */
  allowedHeaders: ['content-type', 'range', 'x-amz-*'],
  exposedHeaders: ['ETag', 'Content-Length', 'Content-Range', 'x-amz-version-id'],
  maxAgeSeconds: 3600,
}
