/** What S3 says of an object that has been created. */
interface ObjectCreated {
  bucket: string
  region: string
  /** As the object store takes it. */
  key: string
  versionId?: string | undefined
  etag: string
  /** Bytes. */
  size: number
  sequencer: string
  eventTime: string
  /** Who speaks in place of S3. */
  principal: string
  requestId: string
}

/** As S3 encodes keys in its events: like a form, but for the slashes. */
export function formEncodeKey(key: string): string {
  return encodeURIComponent(key)
    .replace(/[!'()~]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%2F', '/')
    .replaceAll('%20', '+')
}

/** The body of the message that S3 sends to a queue when an object has been created. */
export function s3Notification(created: ObjectCreated): string {
  const { bucket, region, key, versionId, etag, size, sequencer, eventTime, principal, requestId } = created
  const owner = { principalId: principal }
  const record = {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: region,
    eventTime,
    eventName: 'ObjectCreated:Put',
    userIdentity: owner,
    requestParameters: { sourceIPAddress: '127.0.0.1' },
    responseElements: { 'x-amz-request-id': requestId, 'x-amz-id-2': principal },
    s3: {
      s3SchemaVersion: '1.0',
      configurationId: 'uploads',
      bucket: { name: bucket, ownerIdentity: owner, arn: `arn:aws:s3:::${bucket}` },
      object: { key: formEncodeKey(key), size, eTag: etag, ...(versionId && { versionId }), sequencer },
    },
  }
  return JSON.stringify({ Records: [record] })
}
