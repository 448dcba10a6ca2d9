export type Scope = 'read' | 'upload' | 'act' | 'admin'

declare module 'fastify' {
  interface FastifyContextConfig {
    scope?: Scope
  }
}
