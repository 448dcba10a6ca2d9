import { randomBytes } from 'node:crypto'
import type { FastifyPluginAsync } from 'fastify'
import type { Presigner } from '#shared/aws/presign.ts'
import type { Encoding, Page } from '../page.ts'
import { sendProblem } from '../plugins/problem.ts'

const aYear = 365 * 24 * 60 * 60
/** In the document: where its own goes at every answer. */
const noncePlace = '{nonce}'

/**
 * `/`, the page to try Promenade, and the files that it names: open to everyone, since they hold nothing that the source
 * does not; what the page then asks for needs a key as ever.
 */
export function pageRoutes({
  page,
  presigner,
  onLambda,
}: {
  page: Page
  presigner: Pick<Presigner, 'get'>
  onLambda: boolean
}): FastifyPluginAsync {
  // There are no pages at /docs on Lambda.
  const html = onLambda ? page.html.replace(/.*rel="help".*\n/, '') : page.html
  return async (app) => {
    app.get('/', { schema: { hide: true } }, async (_request, reply) => {
      // Where presigned addresses lead, by region and name of the bucket, is the SDK's to know.
      const { url } = await presigner.get({ key: 'uploads/any', expiresInSeconds: 1 })
      const nonce = randomBytes(16).toString('base64')
      reply.headers({
        'content-security-policy': contentSecurityPolicy(nonce, new URL(url).origin),
        'cross-origin-opener-policy': 'same-origin',
      })
      return reply.type('text/html; charset=utf-8').send(html.replace(noncePlace, nonce))
    })

    app.get<{ Params: { name: string } }>('/web/:name', { schema: { hide: true } }, async (request, reply) => {
      const file = page.files.get(request.params.name)
      if (!file) return sendProblem(reply, 'RESULT_NOT_FOUND', { detail: 'the page has no such file: load it anew' })
      const encoding = encodingFor(request.headers['accept-encoding'])
      if (encoding) reply.header('content-encoding', encoding)
      reply.headers({ vary: 'accept-encoding', 'cache-control': `public, max-age=${aYear}, immutable` })
      return reply.type(file.contentType).send(encoding ? await file.encode(encoding) : file.body)
    })
  }
}

/** Every browser takes one of the two; what else asks, and however it weighs them, is sent the file as it is. */
function encodingFor(accepted: string | undefined): Encoding | undefined {
  const names = accepted?.split(',').map((each) => each.trim()) ?? []
  return (['br', 'gzip'] as const).find((each) => names.includes(each))
}

/**
 * Everything of the page is ours; the nonce is for the style that the waveform brings. Pictures and music come from the
 * store, uploads go there. Nobody may frame it, and no form is ever submitted.
 */
function contentSecurityPolicy(nonce: string, storeOrigin: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    `img-src 'self' blob: ${storeOrigin}`,
    `media-src blob: ${storeOrigin}`,
    `connect-src 'self' ${storeOrigin}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}
