import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { sendProblem } from './problem.ts'

/**
 * Watches the routes registered after it. The plugin that it returns, registered last, answers their addresses for all
 * methods that they lack: 405, with those that they have.
 */
export function answerWrongMethods(app: FastifyInstance): FastifyPluginAsync {
  const addresses = new Set<string>()
  app.addHook('onRoute', ({ url }) => void addresses.add(url))
  return async (last) => {
    for (const url of [...addresses]) {
      const allowed = last.supportedMethods.filter((each) => last.hasRoute({ url, method: each }))
      const refuse = async (_request: FastifyRequest, reply: FastifyReply) =>
        sendProblem(reply.header('allow', allowed.join(', ')), 'INVALID_REQUEST', { status: 405 })
      const method = last.supportedMethods.filter((each) => !allowed.includes(each))
      // Before a body is read, which may be of any kind.
      last.route({ url, method, schema: { hide: true }, onRequest: refuse, handler: refuse })
    }
  }
}
