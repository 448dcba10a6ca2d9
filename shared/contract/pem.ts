import { X509Certificate } from 'node:crypto'

/** With the line breaks that a form for secrets may have taken away or spelled out. */
export function restorePem(text: string): string {
  return text
    .replaceAll('\\n', '\n')
    .replace(/-----BEGIN ([A-Z ]+)-----([^-]*)-----END \1-----\s*/g, (_, label: string, body: string) => {
      const lines = body.replace(/\s/g, '').match(/.{1,64}/g) ?? []
      return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
    })
}

/** Every certificate of a text in PEM, whatever stands between them. Undefined where there is none, or one is damaged. */
export function readCertificates(text: string): X509Certificate[] | undefined {
  const begin = '-----BEGIN CERTIFICATE-----'
  const [, ...bodies] = restorePem(text).split(begin)
  try {
    return bodies.length ? bodies.map((body) => new X509Certificate(`${begin}${body}`)) : undefined
  } catch {
    return undefined
  }
}
