import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type TcpProxy = Awaited<ReturnType<typeof startTcpProxy>>

/** A wire to a server on loopback that a test can cut or hold. */
export async function startTcpProxy(targetPort: number) {
  const pairs = new Set<{ client: Socket; server: Socket }>()
  let mode: 'pass' | 'hold' | 'reset' = 'pass'
  const listener = createServer((client) => {
    const pair = { client, server: connect(targetPort, '127.0.0.1') }
    pairs.add(pair)
    const end = () => {
      pairs.delete(pair)
      client.destroy()
      pair.server.destroy()
    }
    client.on('data', (bytes) => {
      if (mode === 'pass') pair.server.write(bytes)
      if (mode === 'reset') {
        mode = 'pass'
        client.resetAndDestroy()
      }
    })
    pair.server.on('data', (bytes) => client.write(bytes))
    for (const socket of [client, pair.server]) socket.on('error', end).on('close', end)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')

  return {
    port: (listener.address() as AddressInfo).port,
    /** The next bytes from a client are answered by a reset, as by a router that has forgotten the connection. */
    resetNext(): void {
      mode = 'reset'
    },
    /** Bytes from clients are dropped: the server seems to hang. */
    hold(): void {
      mode = 'hold'
    },
    pass(): void {
      mode = 'pass'
    },
    async close(): Promise<void> {
      for (const { client, server } of pairs) {
        client.destroy()
        server.destroy()
      }
      listener.close()
      await once(listener, 'close')
    },
  }
}
