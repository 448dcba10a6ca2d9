import swaggerUi from '@fastify/swagger-ui'
import type { FastifyPluginAsync } from 'fastify'

/**
 * Everything of the page is ours; its scripts set styles on elements, and it draws some pictures from data. The key that
 * is typed in goes to this origin alone.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** Hides the bar for the address of another description, which the policy would refuse. */
const theme = '.swagger-ui .topbar .download-url-wrapper { display: none }'

/**
 * `/openapi.json` and the pages at `/docs`: open to everyone, since they hold nothing that the source does not. On Lambda
 * there are no pages: their files are not in the one that runs there.
 */
export function documentationRoutes({ onLambda }: { onLambda: boolean }): FastifyPluginAsync {
  return async (app) => {
    let text: string | undefined
    // The one document that is answered here is made text of once: a new one for each answer is much memory for who reads none.
    app.setReplySerializer((document) => (text ??= JSON.stringify(document)))
    app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger())
    if (onLambda) return
    await app.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: contentSecurityPolicy,
      theme: { title: 'Promenade API', css: [{ filename: 'theme.css', content: theme }] },
      uiConfig: { docExpansion: 'list', persistAuthorization: false, tryItOutEnabled: false },
    })
  }
}
