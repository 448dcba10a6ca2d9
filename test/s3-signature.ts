import { createHash, createHmac } from 'node:crypto'

// What S3 checks of presigned requests, from its documentation and apart from the SDK; the emulator checks nothing of it.

interface Check {
  secretAccessKey: string
  now: Date
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html; undefined for a form that is taken. */
export function formFault(
  fields: Record<string, string>,
  fileBytes: number,
  { secretAccessKey, now }: Check,
): string | undefined {
  const sent = new Map(Object.entries(fields).map(([name, value]) => [name.toLowerCase(), value]))
  const policyText = sent.get('policy') ?? ''
  const key = signingKey(secretAccessKey, sent.get('x-amz-credential') ?? '')
  if (hmac(key, policyText).toString('hex') !== sent.get('x-amz-signature')) return 'signature'
  const policy = JSON.parse(Buffer.from(policyText, 'base64').toString())
  if (now >= new Date(policy.expiration)) return 'expired'
  const named = new Set(['policy', 'x-amz-signature'])
  for (const condition of policy.conditions) {
    const [kind, name, value] = Array.isArray(condition) ? condition : ['eq', ...Object.entries(condition)[0]!]
    if (kind === 'content-length-range') {
      if (fileBytes < name || fileBytes > value) return 'size'
      continue
    }
    const field = name.replace(/^\$/, '').toLowerCase()
    named.add(field)
    const found = sent.get(field) ?? ''
    if (kind === 'eq' ? found !== value : !found.startsWith(value)) return field
  }
  return [...sent.keys()].find((name) => !named.has(name))
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html; undefined for a request that is taken. */
export function requestFault(
  { method, url, headers }: { method: string; url: string; headers: Record<string, string> },
  { secretAccessKey, now }: Check,
): string | undefined {
  const { pathname, searchParams, host } = new URL(url)
  const signature = searchParams.get('X-Amz-Signature')
  searchParams.delete('X-Amz-Signature')
  const query = Array.from(searchParams, ([name, value]) => `${encode(name)}=${encode(value)}`).sort()
  const sent: Record<string, string> = { ...headers, host }
  const names = searchParams.get('X-Amz-SignedHeaders')!
  const unsigned = Object.keys(sent).find((name) => name.startsWith('x-amz-') && !names.split(';').includes(name))
  if (unsigned) return unsigned
  const lines = names.split(';').map((name) => `${name}:${sent[name]}\n`)
  const canonical = [method, pathname, query.join('&'), lines.join(''), names, 'UNSIGNED-PAYLOAD'].join('\n')
  const date = searchParams.get('X-Amz-Date')!
  const [, ...scope] = searchParams.get('X-Amz-Credential')!.split('/')
  const toSign = ['AWS4-HMAC-SHA256', date, scope.join('/'), createHash('sha256').update(canonical).digest('hex')]
  const key = signingKey(secretAccessKey, searchParams.get('X-Amz-Credential')!)
  if (hmac(key, toSign.join('\n')).toString('hex') !== signature) return 'signature'
  const signed = date.replace(/(....)(..)(..)T(..)(..)(..)Z/, '$1-$2-$3T$4:$5:$6Z')
  const end = Date.parse(signed) + Number(searchParams.get('X-Amz-Expires')) * 1000
  return now.getTime() >= end ? 'expired' : undefined
}

function signingKey(secret: string, credential: string): Buffer {
  const [, date = '', region = '', service = '', last = ''] = credential.split('/')
  return [date, region, service, last].reduce<Buffer>(hmac, Buffer.from(`AWS4${secret}`))
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
}
