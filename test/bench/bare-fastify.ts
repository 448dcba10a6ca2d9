import { once } from 'node:events'
import Fastify from 'fastify'

const [{ body }] = (await once(process, 'message')) as [{ body: unknown }]
const app = Fastify()
app.get('/*', async () => body)
process.send!(await app.listen({ host: '127.0.0.1', port: 0 }))
