/** Made for tests: opens nothing. The certificate is good for a hundred years from 2026. */
export const certificate = `-----BEGIN CERTIFICATE-----
MIIBnDCCAUOgAwIBAgIUaiNQyB7twDOa+7JcKjBIA0Xmqd0wCgYIKoZIzj0EAwIw
IzEhMB8GA1UEAwwYcHJvbWVuYWRlLXRlc3Rpbmctd29ya2VyMCAXDTI2MTEyMTE4
Mzk0NFoYDzIxMjYxMDI4MTgzOTQ0WjAjMSEwHwYDVQQDDBhwcm9tZW5hZGUtdGVz
dGluZy13b3JrZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ1es26pYFdH6UQ
O+Ltjpbb79giueiN3e+HasBdxPGEX0FDBkR9S6ce2od89gUd9zwVfqdOtgHAWtrG
9lahYDxfo1MwUTAdBgNVHQ4EFgQUPRIyyIqH9nIxirWfOS5cVE8j020wHwYDVR0j
BBgwFoAUPRIyyIqH9nIxirWfOS5cVE8j020wDwYDVR0TAQH/BAUwAwEB/zAKBggq
hkjOPQQDAgNHADBEAiBhVpmTPnK695h/FxDX3WjLMpko8L7Z/C3Rz32yP3kIyQIg
f8T5PmM62u+XdiVtr/AhKPho3n6hp6ewR9w3mfQ8fUY=
-----END CERTIFICATE-----
`

export const privateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgGRcHRGKmvBSO44a1
jDkeN1k1x28Ez2SlSbFo/OAfEmShRANCAAQ1es26pYFdH6UQO+Ltjpbb79giueiN
3e+HasBdxPGEX0FDBkR9S6ce2od89gUd9zwVfqdOtgHAWtrG9lahYDxf
-----END PRIVATE KEY-----
`

export const otherPrivateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg7p22h2XDBk+H8jDf
oEHhR8z8U955YiyDbIEDKVdBrmWhRANCAATW/WR/JeXSsm7nDvCkwguWNyjQbBP6
RGFT1VqfZGNGPNxWZImxC4IjWJpCuWYmriFnECGZ7UORxMX9mO4TYRT1
-----END PRIVATE KEY-----
`

export const workerIdentity = {
  WORKER_CERTIFICATE: certificate,
  WORKER_PRIVATE_KEY: privateKey,
  TRUST_ANCHOR_ARN: 'arn:aws:rolesanywhere:eu-west-1:123456789012:trust-anchor/0f1e2d3c-0000-4000-8000-000000000001',
  PROFILE_ARN: 'arn:aws:rolesanywhere:eu-west-1:123456789012:profile/0f1e2d3c-0000-4000-8000-000000000002',
  ROLE_ARN: 'arn:aws:iam::123456789012:role/promenade-testing-worker',
}

/**
 * Stands in for AWS's aws_signing_helper: writes down how it is called, with what it finds in the files it is named, and answers
 * with the n-th credentials, which end in a minute.
 */
export const signingHelper = `#!${process.execPath}
const { appendFileSync, existsSync, readFileSync, statSync } = require('node:fs')
const calls = __filename + '.calls'
const words = process.argv.slice(2)
const valueOf = (name) => words[words.indexOf(name) + 1]
const file = (path) => ({ mode: (statSync(path).mode & 0o777).toString(8), text: readFileSync(path, 'utf8') })
const count = existsSync(calls) ? readFileSync(calls, 'utf8').trim().split('\\n').length + 1 : 1
appendFileSync(calls, JSON.stringify({
  words,
  certificate: file(valueOf('--certificate')),
  privateKey: file(valueOf('--private-key')),
  environment: Object.keys(process.env),
}) + '\\n')
console.log(JSON.stringify({
  Version: 1,
  AccessKeyId: 'ASIA' + count,
  SecretAccessKey: 'secret',
  SessionToken: 'token',
  Expiration: new Date(Date.now() + 60_000).toISOString(),
}))
`
